//! `GET /_matrix/client/v3/rooms/{roomId}/initialSync` (client-server API, "Room previews"): how a room stands.

use axum::extract::State;
use myelin_http::{ApiError, Raw};
use myelin_sync::{
    Sync,
    old_sync::{RoomInitialSyncError, room_initial_sync},
};

use super::Paging;
use crate::{reply::JsonText, room_input::room_id_at};

#[tracing::instrument(name = "client.old_sync.room_initial_sync", skip_all, fields(user.id = %req.requester.user_id))]
pub(super) async fn handler(State(sync): State<Sync>, req: Raw) -> Result<JsonText, ApiError> {
    let room_id = room_id_at(&req, 0)?;
    let limit = req.query::<Paging>()?.read()?.limit;
    let json = room_initial_sync(&sync, &req.requester, &room_id, limit).await;
    json.map(JsonText).map_err(to_api_error)
}

fn to_api_error(error: RoomInitialSyncError) -> ApiError {
    match error {
        RoomInitialSyncError::NotInRoom => ApiError::forbidden(error.to_string()),
        RoomInitialSyncError::Storage(error) => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use sqlx::PgPool;

    use crate::{
        test_rooms::{TestRoom, bodies},
        test_server,
    };

    fn content(room: &Value, event_type: &str) -> Value {
        let mut state = room["state"].as_array().unwrap().iter();
        state.find(|event| event["type"] == event_type).unwrap()["content"].clone()
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn members_see_it_now_and_former_members_as_it_was(pool: PgPool) {
        let server = test_server::open(pool).await;
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = TestRoom::create(&server, &alice, json!({"preset": "public_chat"})).await;
        assert_eq!(room.get("initialSync", &bob).await.error(), (403, "M_FORBIDDEN"));
        room.join(&bob).await;
        let text = room.text(&alice, "before").await;
        server
            .post(&room.path(&format!("receipt/m.read/{text}")), Some(&bob), json!({}))
            .await
            .ok();
        room.set_state(&alice, "m.room.name", json!({"name": "before"})).await;
        let now = room.get("initialSync?limit=2", &bob).await.ok();
        assert_eq!(now["membership"], "join");
        assert_eq!(now["messages"]["chunk"].as_array().unwrap().len(), 2);
        assert_eq!(bodies(&now["messages"]["chunk"]), ["before"]);
        assert_eq!(now["receipts"][0]["room_id"], room.id.as_str());

        room.leave(&bob).await;
        room.text(&alice, "after").await;
        room.set_state(&alice, "m.room.name", json!({"name": "after"})).await;
        let then = room.get("initialSync", &bob).await.ok();
        assert_eq!((&then["membership"], &then["receipts"]), (&json!("leave"), &json!([])));
        assert_eq!(bodies(&then["messages"]["chunk"]), ["before"]);
        assert_eq!(content(&then, "m.room.name")["name"], "before");
        server.post(&room.path("forget"), Some(&bob), json!({})).await.ok();
        assert_eq!(room.get("initialSync", &bob).await.error(), (403, "M_FORBIDDEN"));
        assert_eq!(room.get("initialSync?limit=x", &alice).await.status, 400);
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn everybody_may_look_into_open_rooms(pool: PgPool) {
        let server = test_server::open(pool).await;
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = TestRoom::visible(&server, &alice, "shared").await;
        room.text(&alice, "hidden").await;
        let opened = json!({"history_visibility": "world_readable"});
        room.set_state(&alice, "m.room.history_visibility", opened).await;
        room.text(&alice, "open").await;
        let preview = room.get("initialSync", &bob).await.ok();
        assert_eq!(preview["membership"], json!(null));
        assert_eq!(bodies(&preview["messages"]["chunk"]), ["open"], "only what was open then");
        assert!(preview["state"].as_array().unwrap().len() > 3);

        // An invite, or a look from outside, is not membership.
        room.invite(&alice, &bob).await;
        let preview = room.get("initialSync", &bob).await.ok();
        assert_eq!(preview["membership"], json!(null));
        let events = preview["messages"]["chunk"].as_array().unwrap();
        let then: Vec<&str> =
            events.iter().map(|event| event["unsigned"]["membership"].as_str().unwrap()).collect();
        assert_eq!(then.last(), Some(&"invite"), "{preview}");
        assert_eq!(then.first(), Some(&"leave"), "{preview}");
        let closed = json!({"history_visibility": "shared"});
        room.set_state(&alice, "m.room.history_visibility", closed).await;
        assert_eq!(room.get("initialSync", &bob).await.error(), (403, "M_FORBIDDEN"));
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn who_was_banned_and_unbanned_sees_it_as_it_was(pool: PgPool) {
        let server = test_server::open(pool).await;
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = TestRoom::create(&server, &alice, json!({"preset": "public_chat"})).await;
        room.join(&bob).await;
        room.text(&alice, "before").await;
        let target = json!({"user_id": bob.user_id});
        server.post(&room.path("ban"), Some(&alice), target.clone()).await.ok();
        room.text(&alice, "after").await;
        server.post(&room.path("unban"), Some(&alice), target).await.ok();

        let then = room.get("initialSync", &bob).await.ok();
        assert_eq!(then["membership"], "leave");
        assert_eq!(bodies(&then["messages"]["chunk"]), ["before"]);
        let path = "/_matrix/client/v3/initialSync?archived=true";
        let all = server.get(path, Some(&bob)).await.ok();
        assert_eq!(all["rooms"][0]["room_id"], room.id.as_str(), "{all}");
        assert_eq!(all["rooms"][0]["membership"], "leave");
        let own = room.get(&format!("state/m.room.member/{}", bob.user_id), &bob).await.ok();
        assert_eq!(own["membership"], "leave");
        let members = room.get("members", &bob).await.ok();
        let members = members["chunk"].as_array().unwrap();
        let own = members.iter().find(|event| event["state_key"] == bob.user_id.as_str()).unwrap();
        assert_eq!(own["content"]["membership"], "leave");
    }
}
