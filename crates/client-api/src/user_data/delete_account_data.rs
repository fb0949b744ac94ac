//! `DELETE /_matrix/client/unstable/org.matrix.msc3391/user/{userId}/account_data/{type}` and `DELETE
//! /_matrix/client/unstable/org.matrix.msc3391/user/{userId}/rooms/{roomId}/account_data/{type}` (MSC3391).

use axum::{Json, extract::State};
use myelin_accounts::{Accounts, user_data};
use myelin_http::Raw;
use myelin_rooms::Rooms;
use serde_json::json;

use super::set_account_data::to_api_error;
use crate::Answer;

pub(super) const GLOBAL: &[&str] =
    &["/_matrix/client/unstable/org.matrix.msc3391/user/{user_id}/account_data/{type}"];

pub(super) const ROOM: &[&str] = &[
    "/_matrix/client/unstable/org.matrix.msc3391/user/{user_id}/rooms/{room_id}/account_data/{type}",
];

#[tracing::instrument(name = "client.user_data.delete_account_data", skip_all, fields(user.id = %raw.requester.user_id))]
pub(crate) async fn global(State(accounts): State<Accounts>, raw: Raw) -> Answer {
    super::check_caller(&raw, "Cannot delete account data for other users.")?;
    user_data::delete(&accounts, &raw.requester.user_id, None, raw.path_arg(1)?)
        .await
        .map_err(to_api_error)?;
    Ok(Json(json!({})))
}

#[tracing::instrument(name = "client.user_data.delete_room_account_data", skip_all, fields(user.id = %raw.requester.user_id))]
pub(crate) async fn room(
    State(accounts): State<Accounts>,
    State(rooms): State<Rooms>,
    raw: Raw,
) -> Answer {
    super::check_caller(&raw, "Cannot delete account data for other users.")?;
    let room_nid = super::room_nid(&rooms, &raw).await?;
    user_data::delete(&accounts, &raw.requester.user_id, Some(room_nid), raw.path_arg(2)?)
        .await
        .map_err(to_api_error)?;
    Ok(Json(json!({})))
}

#[cfg(test)]
mod tests {
    use myelin_accounts::AccountsSettings;
    use myelin_model::Appservices;
    use myelin_testing::TestServer;
    use serde_json::json;
    use sqlx::PgPool;

    use crate::{
        test_rooms::{TestRoom, encode},
        test_server,
    };

    const GLOBAL: &str = "user/@alice:example.org/account_data/org.example.key";
    const STABLE: &str = "/_matrix/client/v3";
    const UNSTABLE: &str = "/_matrix/client/unstable/org.matrix.msc3391";

    async fn open(pool: PgPool) -> TestServer {
        let settings =
            AccountsSettings { account_data_deletable: true, ..AccountsSettings::default() };
        let build = |parts: &_| crate::routes().with_state(test_server::state(parts)).finish();
        TestServer::open_with(pool, settings, Appservices::default(), build).await
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn other_devices_hear_of_a_deletion_and_new_ones_of_nothing(pool: PgPool) {
        let server = open(pool).await;
        let alice = server.user("alice").await;
        let room = TestRoom::create(&server, &alice, json!({})).await;
        let in_room = format!(
            "user/@alice:example.org/rooms/{}/account_data/org.example.key",
            encode(&room.id)
        );
        for (path, events) in [
            (GLOBAL, "/account_data/events".to_owned()),
            (&in_room, format!("/rooms/join/{}/account_data/events", room.id)),
        ] {
            let (stable, unstable) = (format!("{STABLE}/{path}"), format!("{UNSTABLE}/{path}"));
            for by_delete in [true, false] {
                server.put(&stable, Some(&alice), json!({"a": 1})).await.ok();
                let sync = "/_matrix/client/v3/sync";
                let answer = server.get(sync, Some(&alice)).await.ok();
                let has = |events: &serde_json::Value, content: serde_json::Value| {
                    let entry = json!({"type": "org.example.key", "content": content});
                    events.as_array().is_some_and(|events| events.contains(&entry))
                };
                assert!(has(answer.pointer(&events).unwrap(), json!({"a": 1})));
                let since = answer["next_batch"].as_str().unwrap();

                if by_delete {
                    server.delete(&unstable, Some(&alice)).await.ok();
                    server.delete(&unstable, Some(&alice)).await.ok();
                } else {
                    server.put(&stable, Some(&alice), json!({})).await.ok();
                }

                assert_eq!(server.get(&stable, Some(&alice)).await.error(), (404, "M_NOT_FOUND"));
                let later = server.get(&format!("{sync}?since={since}"), Some(&alice)).await.ok();
                assert!(has(later.pointer(&events).unwrap(), json!({})), "{later}");
                let anew = server.get(sync, Some(&alice)).await.ok();
                let entries = anew.pointer(&events).and_then(|events| events.as_array());
                let of_type = |entry: &&serde_json::Value| entry["type"] == "org.example.key";
                assert_eq!(entries.into_iter().flatten().find(of_type), None);
            }
        }
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn what_may_not_be_deleted(pool: PgPool) {
        let server = open(pool.clone()).await;
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let path = format!("{UNSTABLE}/user/@alice:example.org/account_data/m.push_rules");
        let refused = server.delete(&path, Some(&alice)).await;
        assert_eq!(refused.error(), (405, "M_BAD_JSON"));
        let path = format!("{UNSTABLE}/{GLOBAL}");
        assert_eq!(server.delete(&path, Some(&bob)).await.error(), (403, "M_FORBIDDEN"));

        // Without the setting there is no such endpoint, and an empty entry is an entry.
        let plain = test_server::open(pool).await;
        let refused = plain.delete(&path, Some(&alice)).await;
        assert_eq!(refused.error(), (404, "M_UNRECOGNIZED"));
        let path = format!("{STABLE}/{GLOBAL}");
        plain.put(&path, Some(&alice), json!({})).await.ok();
        assert_eq!(plain.get(&path, Some(&alice)).await.ok(), json!({}));
    }
}
