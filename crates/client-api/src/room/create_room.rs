//! `POST /_matrix/client/v3/createRoom` (client-server API, "Creation").

use axum::{Json, extract::State};
use http::StatusCode;
use myelin_http::{ApiError, RateLimits, Raw};
use myelin_rooms::{
    Rooms,
    create::{CreateRoomError, create_room},
};
use ruma::api::error::ErrorKind;
use serde_json::{Value, json};

use crate::{
    room_error::{add_alias_error, event_error},
    room_input::{json_text, not_suspended},
};

#[tracing::instrument(name = "client.room.create", skip_all, fields(user.id = %req.requester.user_id))]
pub(crate) async fn handler(
    State(rooms): State<Rooms>,
    State(limits): State<RateLimits>,
    req: Raw,
) -> Result<Json<Value>, ApiError> {
    not_suspended(&req.requester, "Creating rooms")?;
    let body = json_text(&req, true)?;
    limits.room_creation.check_caller(&req.requester)?;
    let created = create_room(&rooms, &req.requester, body).await.map_err(to_api_error)?;
    let mut answer = json!({"room_id": created.room_id});
    if let (Some(alias), Value::Object(answer)) = (created.alias, &mut answer) {
        answer.insert("room_alias".to_owned(), alias.as_str().into());
    }
    Ok(Json(answer))
}

fn to_api_error(error: CreateRoomError) -> ApiError {
    let text = error.to_string();
    let client = |kind| ApiError::client(StatusCode::BAD_REQUEST, kind, error.to_string());
    match error {
        CreateRoomError::BadJson(_) => ApiError::bad_json(text),
        CreateRoomError::UnsupportedVersion => client(ErrorKind::UnsupportedRoomVersion),
        CreateRoomError::BadUserId(_)
        | CreateRoomError::TooManyInvites
        | CreateRoomError::OverrideWithoutCreator(_)
        | CreateRoomError::AliasWithServer => ApiError::unknown(text),
        CreateRoomError::RemoteUser(_) => {
            ApiError::client(StatusCode::BAD_GATEWAY, ErrorKind::Unknown, text)
        }
        CreateRoomError::ThirdPartyInvite | CreateRoomError::EncryptionForbidden { .. } => {
            ApiError::forbidden(text)
        }
        CreateRoomError::AliasTaken => client(ErrorKind::RoomInUse),
        CreateRoomError::Alias(error) => add_alias_error(error),
        CreateRoomError::Event(error) => event_error(error),
    }
}
