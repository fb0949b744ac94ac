//! `PUT /_matrix/client/v3/presence/{userId}/status` (client-server API, "Presence").

use axum::{Json, extract::State};
use myelin_http::{ApiError, Raw};
use myelin_rooms::{
    Rooms,
    presence::{PresenceState, set_presence},
};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Debug, Deserialize)]
struct Body {
    presence: String,
    status_msg: Option<String>,
}

#[tracing::instrument(name = "client.presence.set_presence", skip_all, fields(user.id = %req.requester.user_id))]
pub(crate) async fn handler(State(rooms): State<Rooms>, req: Raw) -> Result<Json<Value>, ApiError> {
    if req.path_arg(0)? != req.requester.user_id.as_str() {
        return Err(ApiError::forbidden("Can only set your own presence state"));
    }
    let body: Body = req.json()?;
    let state = PresenceState::parse(&body.presence)
        .ok_or_else(|| ApiError::unknown("Invalid presence state"))?;
    set_presence(&rooms, &req.requester.user_id, state, body.status_msg)
        .map_err(super::to_api_error)?;
    Ok(Json(json!({})))
}
