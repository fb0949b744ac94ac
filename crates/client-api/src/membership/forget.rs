//! `POST /_matrix/client/v3/rooms/{roomId}/forget` (client-server API, "Leaving rooms").

use axum::{Json, extract::State};
use myelin_http::{ApiError, Raw};
use myelin_rooms::{
    Rooms,
    membership::forget::{ForgetError, forget},
};
use serde_json::{Value, json};

use crate::room_input::room_id_at;

#[tracing::instrument(name = "client.membership.forget", skip_all, fields(user.id = %req.requester.user_id))]
pub(crate) async fn handler(State(rooms): State<Rooms>, req: Raw) -> Result<Json<Value>, ApiError> {
    let room_id = room_id_at(&req, 0)?;
    forget(&rooms, &req.requester, &room_id).await.map_err(to_api_error)?;
    Ok(Json(json!({})))
}

pub(super) fn to_api_error(error: ForgetError) -> ApiError {
    match error {
        ForgetError::StillIn { .. } => ApiError::unknown(error.to_string()),
        ForgetError::Storage(error) => error.into(),
    }
}
