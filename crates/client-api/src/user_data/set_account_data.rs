//! `PUT /_matrix/client/v3/user/{userId}/account_data/{type}` and `PUT
//! /_matrix/client/v3/user/{userId}/rooms/{roomId}/account_data/{type}` (client-server API, "Client Config").

use axum::{Json, extract::State};
use http::StatusCode;
use myelin_accounts::{
    Accounts,
    user_data::{self, UserDataError},
};
use myelin_http::{ApiError, Raw};
use myelin_model::RoomNid;
use myelin_rooms::Rooms;
use ruma::api::error::ErrorKind;
use serde_json::{json, value::to_raw_value};

use crate::Answer;

#[tracing::instrument(name = "client.user_data.set_account_data", skip_all, fields(user.id = %raw.requester.user_id))]
pub(crate) async fn global(State(accounts): State<Accounts>, raw: Raw) -> Answer {
    super::check_caller(&raw, "Cannot add account data for other users.")?;
    set(&accounts, &raw, None, raw.path_arg(1)?).await
}

#[tracing::instrument(name = "client.user_data.set_room_account_data", skip_all, fields(user.id = %raw.requester.user_id))]
pub(crate) async fn room(
    State(accounts): State<Accounts>,
    State(rooms): State<Rooms>,
    raw: Raw,
) -> Answer {
    super::check_caller(&raw, "Cannot add account data for other users.")?;
    let room_nid = super::room_nid(&rooms, &raw).await?;
    set(&accounts, &raw, Some(room_nid), raw.path_arg(2)?).await
}

async fn set(accounts: &Accounts, raw: &Raw, room_nid: Option<RoomNid>, data_type: &str) -> Answer {
    let content = to_raw_value(&raw.json_object(false)?)?;
    user_data::set(accounts, &raw.requester.user_id, room_nid, data_type, content)
        .await
        .map_err(to_api_error)?;
    Ok(Json(json!({})))
}

pub(super) fn to_api_error(error: UserDataError) -> ApiError {
    let message = error.to_string();
    match error {
        UserDataError::ReadMarker(_) | UserDataError::PushRules(_) => {
            ApiError::client(StatusCode::METHOD_NOT_ALLOWED, ErrorKind::BadJson, message)
        }
        UserDataError::TypeTooLong | UserDataError::InvalidOrder | UserDataError::IgnoresSelf => {
            ApiError::invalid_param(message)
        }
        UserDataError::NotDeletable => ApiError::unrecognized(),
        UserDataError::TooLarge | UserDataError::TooMuch => ApiError::too_large(message),
        UserDataError::Storage(error) => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use myelin_testing::TestUser;
    use serde_json::json;
    use sqlx::PgPool;

    use crate::test_server;

    const PATH: &str = "/_matrix/client/v3/user/@alice:example.org/account_data";

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn what_is_set_is_got(pool: PgPool) {
        let server = test_server::open(pool).await;
        let alice = server.user("alice").await;
        let path = format!("{PATH}/org.example.key");

        assert_eq!(server.get(&path, Some(&alice)).await.error(), (404, "M_NOT_FOUND"));
        server.put(&path, Some(&alice), json!({ "value": "first" })).await.ok();
        server.put(&path, Some(&alice), json!({ "value": "second" })).await.ok();

        assert_eq!(server.get(&path, Some(&alice)).await.ok(), json!({ "value": "second" }));
        let all = server.parts.db.account_data().list(&alice.user_id).await.unwrap();
        assert_eq!(all.len(), 1);
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn what_is_large_is_kept_and_synced(pool: PgPool) {
        let server = test_server::open(pool).await;
        let alice = server.user("alice").await;
        let direct: serde_json::Map<String, serde_json::Value> = (0..4000)
            .map(|number| (format!("@user{number}:example.org"), json!(["!room:example.org"])))
            .collect();
        let path = format!("{PATH}/m.direct");
        server.put(&path, Some(&alice), json!(direct)).await.ok();
        assert_eq!(server.get(&path, Some(&alice)).await.ok(), json!(direct));
        let sync = server.get("/_matrix/client/v3/sync", Some(&alice)).await.ok();
        let entries = sync["account_data"]["events"].as_array().unwrap();
        assert!(entries.iter().any(|entry| entry["content"] == json!(direct)));
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn what_may_not_be_set(pool: PgPool) {
        let server = test_server::open(pool).await;
        let alice = server.user("alice").await;
        let bob = server.user("bob").await;
        let put = async |data_type: &str, body| {
            server.put(&format!("{PATH}/{data_type}"), Some(&alice), body).await
        };

        for data_type in ["m.fully_read", "m.push_rules"] {
            assert_eq!(put(data_type, json!({})).await.error(), (405, "M_BAD_JSON"));
        }
        let ignored = json!({ "ignored_users": { "@alice:example.org": {} } });
        assert_eq!(put("m.ignored_user_list", ignored).await.error(), (400, "M_INVALID_PARAM"));
        assert_eq!(put("x", json!([])).await.error(), (400, "M_BAD_JSON"));
        let beyond_a_request = json!({ "x": "x".repeat(200 * 65_536) });
        assert_eq!(put("x", beyond_a_request).await.error(), (413, "M_TOO_LARGE"));
        let other = server.put(&format!("{PATH}/x"), Some(&bob), json!({})).await;
        assert_eq!(other.error(), (403, "M_FORBIDDEN"));
        let room =
            "/_matrix/client/v3/user/@alice:example.org/rooms/!no:example.org/account_data/x";
        assert_eq!(server.put(room, Some(&alice), json!({})).await.error(), (404, "M_NOT_FOUND"));
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn a_user_has_a_bounded_amount(pool: PgPool) {
        let server = test_server::open(pool.clone()).await;
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let text = "x".repeat(3 * 1024 * 1024);
        let set = async |user: &TestUser, name: &str, text: &str| {
            let path = format!("/_matrix/client/v3/user/{}/account_data/{name}", user.user_id);
            server.put(&path, Some(user), json!({ "text": text })).await
        };
        for number in 0..5 {
            set(&alice, &format!("n{number}"), &text).await.ok();
        }
        assert_eq!(set(&alice, "n5", &text).await.error(), (413, "M_TOO_LARGE"));
        set(&alice, "n5", "short").await.ok();
        // What takes the place of another counts instead of it.
        set(&alice, "n4", &text).await.ok();
        set(&bob, "n5", &text).await.ok();
    }
}
