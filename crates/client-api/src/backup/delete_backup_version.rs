//! `DELETE /_matrix/client/v3/room_keys/version/{version}` (client-server API, "Server-side key backups").

use axum::{Json, extract::State};
use myelin_e2ee::{
    E2ee,
    backup::{DeleteVersionError, delete_version},
};
use myelin_http::{ApiError, Raw};
use serde_json::json;

use crate::Answer;

#[tracing::instrument(name = "client.backup.delete_backup_version", skip_all, fields(user.id = %raw.requester.user_id))]
pub(crate) async fn handler(State(e2ee): State<E2ee>, raw: Raw) -> Answer {
    delete_version(&e2ee, &raw.requester.user_id, raw.path_arg(0)?).await.map_err(to_api_error)?;
    Ok(Json(json!({})))
}

fn to_api_error(error: DeleteVersionError) -> ApiError {
    match error {
        DeleteVersionError::NotFound => ApiError::not_found(error.to_string()),
        DeleteVersionError::Storage(error) => error.into(),
    }
}
