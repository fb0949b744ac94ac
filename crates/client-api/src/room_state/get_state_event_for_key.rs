//! `GET /_matrix/client/v3/rooms/{roomId}/state/{eventType}/{stateKey}` (client-server API, "Getting events for a room").

use axum::extract::State;
use myelin_http::{ApiError, Raw};
use myelin_rooms::{
    Rooms,
    history::{Format, StateError, find_state},
};
use serde::Deserialize;

use crate::{
    reply::{self, JsonText},
    room_input::room_id_at,
};

#[derive(Debug, Deserialize)]
struct Query {
    #[serde(default)]
    format: Wanted,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Wanted {
    #[default]
    Content,
    Event,
}

#[tracing::instrument(name = "client.state.get_state_event_for_key", skip_all, fields(user.id = %req.requester.user_id))]
pub(crate) async fn handler(State(rooms): State<Rooms>, req: Raw) -> Result<JsonText, ApiError> {
    let room_id = room_id_at(&req, 0)?;
    let event_type = req.path_arg(1)?;
    let state_key = req.path.get(2).map_or("", String::as_str);
    let query: Query = req.query()?;
    let event = find_state(&rooms, &req.requester.user_id, &room_id, event_type, state_key)
        .await
        .map_err(to_api_error)?;
    Ok(JsonText(match query.format {
        Wanted::Content => event.content().into_owned(),
        Wanted::Event => event.to_json(Format::Room, &reply::reader(&rooms, &req.requester)),
    }))
}

fn to_api_error(error: StateError) -> ApiError {
    match error {
        StateError::View(error) => reply::view_error(error),
        StateError::NotFound => ApiError::not_found(error.to_string()),
    }
}
