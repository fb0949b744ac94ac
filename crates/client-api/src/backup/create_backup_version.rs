//! `POST /_matrix/client/v3/room_keys/version` (client-server API, "Server-side key backups").

use axum::{Json, extract::State};
use myelin_e2ee::{
    E2ee,
    backup::{AddVersionError, add_version},
};
use myelin_http::{ApiError, Raw};
use serde_json::json;

use crate::Answer;

#[tracing::instrument(name = "client.backup.create_backup_version", skip_all, fields(user.id = %raw.requester.user_id))]
pub(crate) async fn handler(State(e2ee): State<E2ee>, raw: Raw) -> Answer {
    let body = raw.json_object(false)?;
    let (algorithm, auth_data) = super::algorithm(&body)?;
    let version = add_version(&e2ee, &raw.requester.user_id, algorithm, auth_data)
        .await
        .map_err(to_api_error)?;
    Ok(Json(json!({ "version": version.to_string() })))
}

fn to_api_error(error: AddVersionError) -> ApiError {
    let message = error.to_string();
    match error {
        AddVersionError::TooLong(_) | AddVersionError::TooMany => ApiError::too_large(message),
        AddVersionError::Storage(error) => error.into(),
    }
}
