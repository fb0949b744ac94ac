//! `POST /_matrix/client/v3/rooms/{roomId}/upgrade` (client-server API, "Room upgrades").

use axum::{Json, extract::State};
use http::StatusCode;
use myelin_events::RoomVersion;
use myelin_http::{ApiError, RateLimits, Raw};
use myelin_rooms::{
    Rooms,
    upgrade::{UpgradeError, upgrade},
};
use ruma::{OwnedUserId, api::error::ErrorKind};
use serde_json::{Value, json};

use crate::{room_error::event_error, room_input::room_id_at};

#[tracing::instrument(name = "client.room.upgrade", skip_all, fields(user.id = %req.requester.user_id))]
pub(crate) async fn handler(
    State(rooms): State<Rooms>,
    State(limits): State<RateLimits>,
    req: Raw,
) -> Result<Json<Value>, ApiError> {
    let room_id = room_id_at(&req, 0)?;
    let body = req.json_object(false)?;
    let version: RoomVersion = match body.get("new_version") {
        Some(Value::String(version)) => version.parse().map_err(|_| {
            let text = "Your homeserver does not support this room version";
            ApiError::client(StatusCode::BAD_REQUEST, ErrorKind::UnsupportedRoomVersion, text)
        })?,
        Some(_) => return Err(ApiError::bad_json("new_version must be a string")),
        None => return Err(ApiError::missing_param("Missing params: ['new_version']")),
    };
    let creators: Vec<OwnedUserId> = match body.get("additional_creators") {
        Some(creators) if version.auth_rules().additional_room_creators && !creators.is_null() => {
            serde_json::from_value(creators.clone())
                .map_err(|_| ApiError::invalid_param("additional_creators must be user IDs"))?
        }
        _ => Vec::new(),
    };
    limits.message.check_caller(&req.requester)?;
    limits.room_creation.check_caller(&req.requester)?;
    let new_id = upgrade(&rooms, req.requester.active()?, &room_id, version, &creators).await;
    let new_id = new_id.map_err(to_api_error)?;
    Ok(Json(json!({"replacement_room": new_id})))
}

fn to_api_error(error: UpgradeError) -> ApiError {
    match error {
        UpgradeError::UnknownRoom(_) => ApiError::not_found(error.to_string()),
        UpgradeError::InProgress => ApiError::unknown(error.to_string()),
        UpgradeError::Event(error) => event_error(error),
    }
}

#[cfg(test)]
mod tests {
    use myelin_testing::{TestServer, TestUser};
    use serde_json::{Value, json};
    use sqlx::PgPool;

    use crate::{
        test_rooms::{TestRoom, encode},
        test_server,
    };

    fn account_data(user: &TestUser, rest: &str) -> String {
        format!("/_matrix/client/v3/user/{}/{rest}", user.user_id)
    }

    /// Tag the room, mute it, and call it a direct chat.
    async fn keep(server: &TestServer, user: &TestUser, room: &TestRoom<'_>) {
        let tag = account_data(user, &format!("rooms/{}/tags/u.work", encode(&room.id)));
        server.put(&tag, Some(user), json!({"order": 0.5})).await.ok();
        let direct = json!({"@bob:example.org": [room.id]});
        server.put(&account_data(user, "account_data/m.direct"), Some(user), direct).await.ok();
        let rule = format!("/_matrix/client/v3/pushrules/global/room/{}", encode(&room.id));
        server.put(&rule, Some(user), json!({"actions": ["dont_notify"]})).await.ok();
    }

    /// The user's tags of a room, the direct chats, and the rooms with push rules.
    async fn kept(server: &TestServer, user: &TestUser, room_id: &str) -> [Value; 3] {
        let tags = account_data(user, &format!("rooms/{}/tags", encode(room_id)));
        let tags = server.get(&tags, Some(user)).await.ok()["tags"].clone();
        let direct = server.get(&account_data(user, "account_data/m.direct"), Some(user)).await;
        let rules = server.get("/_matrix/client/v3/pushrules/global/room/", Some(user)).await.ok();
        let mut rules: Vec<_> = rules
            .as_array()
            .unwrap()
            .iter()
            .map(|rule| rule["rule_id"].as_str().unwrap())
            .collect();
        rules.sort_unstable();
        [tags, direct.body["@bob:example.org"].clone(), json!(rules)]
    }

    fn carried(old: &str, new: &str) -> [Value; 3] {
        let mut rules = [old, new];
        rules.sort_unstable();
        [json!({"u.work": {"order": 0.5}}), json!([old, new]), json!(rules)]
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn aliases_and_what_members_keep_go_along(pool: PgPool) {
        let server = test_server::open(pool).await;
        let (alice, carol) = (server.user("alice").await, server.user("carol").await);
        let body = json!({"preset": "public_chat", "room_alias_name": "den"});
        let room = TestRoom::create(&server, &alice, body).await;
        room.join(&carol).await;
        keep(&server, &alice, &room).await;
        keep(&server, &carol, &room).await;

        let body = json!({"new_version": "11"});
        let answer = server.post(&room.path("upgrade"), Some(&alice), body).await.ok();
        let new = answer["replacement_room"].as_str().unwrap();

        for user in [&alice, &carol] {
            assert_eq!(kept(&server, user, new).await, carried(&room.id, new), "{}", user.user_id);
        }
        let alias = server.get("/_matrix/client/v3/directory/room/%23den:example.org", None).await;
        assert_eq!(alias.ok()["room_id"], new);
        let unknown = json!({"new_version": "0"});
        let refused = server.post(&room.path("upgrade"), Some(&alice), unknown).await;
        assert_eq!(refused.error(), (400, "M_UNSUPPORTED_ROOM_VERSION"));
        let refused = server.post(&room.path("upgrade"), Some(&alice), json!({})).await;
        assert_eq!(refused.error(), (400, "M_MISSING_PARAM"));
        let body = json!({"new_version": "11"});
        let refused = server.post(&room.path("upgrade"), Some(&carol), body.clone()).await;
        assert_eq!(refused.error(), (403, "M_FORBIDDEN"));
        let path = "/_matrix/client/v3/rooms/!x:example.org/upgrade";
        assert_eq!(server.post(path, Some(&alice), body).await.error(), (404, "M_NOT_FOUND"));
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn creators_keep_their_power_where_creators_have_none_of_their_own(pool: PgPool) {
        let server = test_server::open(pool).await;
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let body = json!({"room_version": "12",
            "creation_content": {"additional_creators": [bob.user_id]}});
        let room = TestRoom::create(&server, &alice, body).await;

        let body = json!({"new_version": "11"});
        let answer = server.post(&room.path("upgrade"), Some(&alice), body).await.ok();

        let id = answer["replacement_room"].as_str().unwrap().to_owned();
        let new = TestRoom { server: &server, id };
        let levels = new.get("state/m.room.power_levels", &alice).await.ok();
        // The old room asked for 150 to replace it, which was nothing to its creators.
        assert_eq!(levels["users"], json!({&alice.user_id: 150, &bob.user_id: 150}));
        new.set_state(&alice, "m.room.tombstone", json!({"replacement_room": "!x:example.org"}))
            .await;
        new.invite(&alice, &bob).await;
        new.join(&bob).await;
        new.set_state(&bob, "m.room.power_levels", levels).await;
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn an_upgrade_by_hand_counts_where_the_rooms_name_each_other(pool: PgPool) {
        let server = test_server::open(pool).await;
        let (alice, carol) = (server.user("alice").await, server.user("carol").await);
        let dave = server.user("dave").await;
        let old = TestRoom::create(&server, &alice, json!({"preset": "public_chat"})).await;
        for user in [&carol, &dave] {
            old.join(user).await;
            keep(&server, user, &old).await;
        }
        old.leave(&dave).await;
        let body = json!({"preset": "public_chat",
            "creation_content": {"predecessor": {"room_id": old.id}}});
        // Anybody can claim a predecessor.
        let claimed = TestRoom::create(&server, &dave, body.clone()).await;
        claimed.join(&carol).await;
        let new = TestRoom::create(&server, &alice, body).await;
        assert_eq!(kept(&server, &carol, &claimed.id).await[0], json!({}));
        assert_eq!(kept(&server, &carol, &new.id).await[1], json!([old.id]));

        old.set_state(&alice, "m.room.tombstone/", json!({"replacement_room": new.id})).await;

        assert_eq!(kept(&server, &carol, &new.id).await, carried(&old.id, &new.id));
        // Who was no member at that time brings it along.
        assert_eq!(kept(&server, &dave, &new.id).await[0], json!({}));
        new.join(&dave).await;
        assert_eq!(kept(&server, &dave, &new.id).await, carried(&old.id, &new.id));
    }
}
