//! `GET /_matrix/client/v3/rooms/{roomId}/event/{eventId}` (client-server API, "Getting events for a room").

use axum::extract::State;
use myelin_http::{ApiError, Raw};
use myelin_rooms::{
    Rooms,
    history::{FindEventError, Format, find_event},
};

use crate::reply::{self, JsonText};

#[tracing::instrument(name = "client.room.get_room_event", skip_all, fields(user.id = %req.requester.user_id))]
pub(crate) async fn handler(State(rooms): State<Rooms>, req: Raw) -> Result<JsonText, ApiError> {
    let (room_id, event_id) =
        (reply::room_id(req.path_arg(0)?)?, reply::event_id(req.path_arg(1)?)?);
    let event = find_event(&rooms, &req.requester.user_id, &room_id, &event_id)
        .await
        .map_err(to_api_error)?;
    Ok(JsonText(event.to_json(Format::Room, &reply::reader(&rooms, &req.requester))))
}

fn to_api_error(error: FindEventError) -> ApiError {
    match error {
        FindEventError::NotFound => ApiError::not_found(error.to_string()),
        FindEventError::Storage(error) => error.into(),
    }
}
