//! `PUT /_matrix/client/v3/room_keys/version/{version}` (client-server API, "Server-side key backups").

use axum::{Json, extract::State};
use myelin_e2ee::{
    E2ee,
    backup::{SetAuthDataError, set_auth_data},
};
use myelin_http::{ApiError, Raw};
use serde_json::json;

use crate::Answer;

#[tracing::instrument(name = "client.backup.update_backup_version", skip_all, fields(user.id = %raw.requester.user_id))]
pub(crate) async fn handler(State(e2ee): State<E2ee>, raw: Raw) -> Answer {
    let body = raw.json_object(false)?;
    let version = raw.path_arg(0)?;
    if body.get("version").is_some_and(|told| told.as_str() != Some(version)) {
        return Err(ApiError::invalid_param("Version in body does not match"));
    }
    let (algorithm, auth_data) = super::algorithm(&body)?;
    set_auth_data(&e2ee, &raw.requester.user_id, version, algorithm, auth_data)
        .await
        .map_err(to_api_error)?;
    Ok(Json(json!({})))
}

fn to_api_error(error: SetAuthDataError) -> ApiError {
    let message = error.to_string();
    match error {
        SetAuthDataError::NotFound => ApiError::not_found(message),
        SetAuthDataError::OtherAlgorithm => ApiError::invalid_param(message),
        SetAuthDataError::TooLong => ApiError::too_large(message),
        SetAuthDataError::Storage(error) => error.into(),
    }
}
