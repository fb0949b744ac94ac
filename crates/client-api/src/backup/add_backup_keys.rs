//! `PUT /_matrix/client/v3/room_keys/keys`, `PUT /_matrix/client/v3/room_keys/keys/{roomId}` and `PUT
//! /_matrix/client/v3/room_keys/keys/{roomId}/{sessionId}` (client-server API, "Server-side key backups").

use axum::{Json, extract::State};
use http::StatusCode;
use myelin_e2ee::{
    E2ee,
    backup::{AddKeysError, InvalidKey, Keys, add_keys},
};
use myelin_http::{ApiError, Raw};

use crate::Answer;

#[tracing::instrument(name = "client.backup.add_backup_keys", skip_all, fields(user.id = %raw.requester.user_id))]
pub(crate) async fn all(State(e2ee): State<E2ee>, raw: Raw) -> Answer {
    add(&e2ee, &raw, Keys::of_rooms(raw.json_object(false)?)).await
}

#[tracing::instrument(name = "client.backup.add_backup_keys_for_room", skip_all, fields(user.id = %raw.requester.user_id))]
pub(crate) async fn room(State(e2ee): State<E2ee>, raw: Raw) -> Answer {
    add(&e2ee, &raw, Keys::of_room(raw.path_arg(0)?, raw.json_object(false)?)).await
}

#[tracing::instrument(name = "client.backup.add_backup_keys_for_session", skip_all, fields(user.id = %raw.requester.user_id))]
pub(crate) async fn session(State(e2ee): State<E2ee>, raw: Raw) -> Answer {
    let keys = Keys::of_session(raw.path_arg(0)?, raw.path_arg(1)?, raw.json_object(false)?);
    add(&e2ee, &raw, keys).await
}

async fn add(e2ee: &E2ee, raw: &Raw, keys: Result<Keys, InvalidKey>) -> Answer {
    let version = super::version(raw)?;
    let keys = keys.map_err(invalid_key)?;
    let counts =
        add_keys(e2ee, &raw.requester.user_id, &version, keys).await.map_err(to_api_error)?;
    Ok(Json(super::counts(counts)))
}

fn invalid_key(error: InvalidKey) -> ApiError {
    let message = error.to_string();
    match error {
        InvalidKey::Missing(_) => ApiError::missing_param(message),
        InvalidKey::Wrong(_) => ApiError::invalid_param(message),
        InvalidKey::TooLong(_) => ApiError::too_large(message),
    }
}

fn to_api_error(error: AddKeysError) -> ApiError {
    let message = error.to_string();
    match error {
        AddKeysError::NotFound(_) => ApiError::not_found(message),
        AddKeysError::NotCurrent { current_version } => ApiError::with_fields(
            StatusCode::FORBIDDEN,
            "M_WRONG_ROOM_KEYS_VERSION",
            message,
            [("current_version", current_version.to_string().into())],
        ),
        AddKeysError::TooMany => ApiError::too_large(message),
        AddKeysError::Storage(error) => error.into(),
    }
}
