//! `POST /_matrix/client/v3/rooms/{roomId}/upgrade` (client-server API, "Room upgrades").

use axum::{Json, extract::State};
use http::StatusCode;
use myelin_events::RoomVersion;
use myelin_http::{ApiError, RateLimits, Raw};
use myelin_rooms::{
    Rooms,
    upgrade::{UpgradeError, upgrade},
};
use ruma::{OwnedUserId, api::error::ErrorKind};
use serde_json::{Value, json};

use crate::{
    room_error::event_error,
    room_input::{not_suspended, room_id_at},
};

#[tracing::instrument(name = "client.room.upgrade", skip_all, fields(user.id = %req.requester.user_id))]
pub(crate) async fn handler(
    State(rooms): State<Rooms>,
    State(limits): State<RateLimits>,
    req: Raw,
) -> Result<Json<Value>, ApiError> {
    let room_id = room_id_at(&req, 0)?;
    not_suspended(&req.requester, "Upgrading rooms")?;
    let body = req.json_object(false)?;
    let version: RoomVersion = match body.get("new_version") {
        Some(Value::String(version)) => version.parse().map_err(|_| {
            let text = "Your homeserver does not support this room version";
            ApiError::client(StatusCode::BAD_REQUEST, ErrorKind::UnsupportedRoomVersion, text)
        })?,
        Some(_) => return Err(ApiError::bad_json("new_version must be a string")),
        None => return Err(ApiError::missing_param("Missing params: ['new_version']")),
    };
    let creators: Vec<OwnedUserId> = match body.get("additional_creators") {
        Some(creators) if version.auth_rules().additional_room_creators && !creators.is_null() => {
            serde_json::from_value(creators.clone())
                .map_err(|_| ApiError::invalid_param("additional_creators must be user IDs"))?
        }
        _ => Vec::new(),
    };
    limits.room_creation.check_caller(&req.requester)?;
    let new_id = upgrade(&rooms, &req.requester, &room_id, version, &creators).await;
    let new_id = new_id.map_err(to_api_error)?;
    Ok(Json(json!({"replacement_room": new_id})))
}

fn to_api_error(error: UpgradeError) -> ApiError {
    match error {
        UpgradeError::UnknownRoom(_) => ApiError::not_found(error.to_string()),
        UpgradeError::Event(error) => event_error(error),
    }
}
