//! `GET /_matrix/client/v1/rooms/{roomId}/timestamp_to_event` (client-server API, "Getting events for a room").

use axum::{Json, extract::State};
use myelin_http::{ApiError, Raw};
use myelin_rooms::{
    Rooms,
    history::{TimestampError, find_by_timestamp},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{reply, room_input::room_id_at};

#[derive(Debug, Deserialize)]
struct Query {
    ts: u64,
    dir: Direction,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
enum Direction {
    #[serde(rename = "f")]
    Forward,
    #[serde(rename = "b")]
    Backward,
}

#[tracing::instrument(name = "client.room.get_event_by_timestamp", skip_all, fields(user.id = %req.requester.user_id))]
pub(crate) async fn handler(State(rooms): State<Rooms>, req: Raw) -> Result<Json<Value>, ApiError> {
    let room_id = room_id_at(&req, 0)?;
    let query: Query = req.query()?;
    let forward = query.dir == Direction::Forward;
    let event = find_by_timestamp(&rooms, &req.requester.user_id, &room_id, query.ts, forward)
        .await
        .map_err(to_api_error)?;
    Ok(Json(json!({"event_id": event.event_id, "origin_server_ts": event.origin_server_ts})))
}

fn to_api_error(error: TimestampError) -> ApiError {
    match error {
        TimestampError::View(error) => reply::view_error(error),
        TimestampError::NotFound { .. } => ApiError::not_found(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use sqlx::PgPool;

    use crate::{test_rooms::TestRoom, test_server};

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn what_is_hidden_is_passed_over(pool: PgPool) {
        let server = test_server::open(pool).await;
        let (alice, carol) = (server.user("alice").await, server.user("carol").await);
        let room = TestRoom::create(&server, &alice, json!({"preset": "public_chat"})).await;
        room.text(&alice, "for members").await;
        let world = json!({"history_visibility": "world_readable"});
        let path = format!("/_matrix/client/v3/rooms/{}/state/m.room.history_visibility/", room.id);
        let opened = server.put(&path, Some(&alice), world).await.ok();
        let last = room.text(&alice, "for all").await;
        let path = format!("/_matrix/client/v1/rooms/{}/timestamp_to_event", room.id);
        let find =
            async |query: &str, user| server.get(&format!("{path}?{query}"), Some(user)).await;
        assert_eq!(find("ts=0&dir=f", &carol).await.ok()["event_id"], opened["event_id"]);
        let query = "ts=9999999999999&dir=b";
        assert_eq!(find(query, &carol).await.ok()["event_id"], last.as_str());
        assert_eq!(find("ts=0&dir=b", &carol).await.error(), (404, "M_NOT_FOUND"));
        assert_ne!(find("ts=0&dir=f", &alice).await.ok()["event_id"], opened["event_id"]);
    }
}
