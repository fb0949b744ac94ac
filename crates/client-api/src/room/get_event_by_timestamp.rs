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
