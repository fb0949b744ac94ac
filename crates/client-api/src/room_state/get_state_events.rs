//! `GET /_matrix/client/v3/rooms/{roomId}/state` (client-server API, "Getting events for a room").

use axum::extract::State;
use myelin_http::{ApiError, Raw};
use myelin_rooms::{
    Rooms,
    history::{Format, Shown, state},
};

use crate::reply::{self, JsonText};

#[tracing::instrument(name = "client.state.get_state_events", skip_all, fields(user.id = %req.requester.user_id))]
pub(crate) async fn handler(State(rooms): State<Rooms>, req: Raw) -> Result<JsonText, ApiError> {
    let room_id = reply::room_id(req.path_arg(0)?)?;
    let events =
        state(&rooms, &req.requester.user_id, &room_id).await.map_err(reply::view_error)?;
    let mut out = String::new();
    Shown::write_all(&mut out, &events, Format::Room, &reply::reader(&rooms, &req.requester));
    Ok(JsonText(out))
}
