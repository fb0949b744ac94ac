//! `PUT /_matrix/client/v3/rooms/{roomId}/typing/{userId}` (client-server API, "Typing notifications").

use axum::{Json, extract::State};
use myelin_http::{ApiError, Raw};
use myelin_rooms::{
    Rooms,
    typing::{TypingError, set_typing},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::reply;

/// How long a user types if the client does not say.
const TIMEOUT_MILLIS_DEFAULT: u64 = 30_000;

#[derive(Debug, Deserialize)]
struct Body {
    typing: bool,
    timeout: Option<u64>,
}

#[tracing::instrument(name = "client.typing.create_typing_event", skip_all, fields(user.id = %req.requester.user_id))]
pub(crate) async fn handler(State(rooms): State<Rooms>, req: Raw) -> Result<Json<Value>, ApiError> {
    let room_id = reply::room_id(req.path_arg(0)?)?;
    if req.path_arg(1)? != req.requester.user_id.as_str() {
        return Err(ApiError::forbidden("Cannot set another user's typing state"));
    }
    let body: Body = req.json()?;
    let timeout = body.typing.then(|| body.timeout.unwrap_or(TIMEOUT_MILLIS_DEFAULT));
    set_typing(&rooms, &req.requester.user_id, &room_id, timeout).await.map_err(to_api_error)?;
    Ok(Json(json!({})))
}

fn to_api_error(error: TypingError) -> ApiError {
    match error {
        TypingError::NotInRoom(_) => ApiError::forbidden(error.to_string()),
        TypingError::Storage(error) => error.into(),
    }
}
