//! `GET /_matrix/client/v3/rooms/{roomId}/state` (client-server API, "Getting events for a room").

use axum::extract::State;
use myelin_http::{ApiError, Raw};
use myelin_rooms::{
    Rooms,
    history::{Format, Shown, state},
};

use crate::{
    reply::{self, JsonText},
    room_input::room_id_at,
};

#[tracing::instrument(name = "client.state.get_state_events", skip_all, fields(user.id = %req.requester.user_id))]
pub(crate) async fn handler(State(rooms): State<Rooms>, req: Raw) -> Result<JsonText, ApiError> {
    let room_id = room_id_at(&req, 0)?;
    let events =
        state(&rooms, &req.requester.user_id, &room_id).await.map_err(reply::view_error)?;
    let mut out = String::new();
    Shown::write_all(&mut out, &events, Format::Room, &reply::reader(&rooms, &req.requester));
    Ok(JsonText(out))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use sqlx::PgPool;

    use crate::{test_rooms::TestRoom, test_server};

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn who_has_left_sees_the_state_of_then(pool: PgPool) {
        let server = test_server::open(pool).await;
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = TestRoom::create(&server, &alice, json!({"preset": "public_chat"})).await;
        room.set_state(&alice, "m.room.topic", json!({"topic": "old"})).await;
        assert_eq!(room.get("state", &bob).await.error(), (403, "M_FORBIDDEN"));
        room.join(&bob).await;
        room.leave(&bob).await;
        room.set_state(&alice, "m.room.topic", json!({"topic": "new"})).await;

        let topic = room.get("state/m.room.topic", &bob).await.ok();
        assert_eq!(topic, json!({"topic": "old"}));
        let topic = room.get("state/m.room.topic/?format=event", &alice).await.ok();
        assert_eq!((&topic["content"]["topic"], &topic["state_key"]), (&json!("new"), &json!("")));
        let state = room.get("state", &bob).await.ok();
        let own = state.as_array().unwrap().iter().find(|event| {
            event["type"] == "m.room.member" && event["state_key"] == bob.user_id.as_str()
        });
        assert_eq!(own.unwrap()["content"]["membership"], "leave");
        assert_eq!(room.get("state/nope/x", &alice).await.error(), (404, "M_NOT_FOUND"));
    }
}
