//! `GET /_matrix/client/v3/room_keys/version` and `GET /_matrix/client/v3/room_keys/version/{version}` (client-server API,
//! "Server-side key backups").

use axum::{Json, extract::State};
use myelin_e2ee::{
    E2ee,
    backup::{find_current_version, find_version},
};
use myelin_http::{ApiError, Raw};
use myelin_storage::e2ee::KeyBackup;
use serde_json::json;

use crate::Answer;

#[tracing::instrument(name = "client.backup.get_latest_backup_info", skip_all, fields(user.id = %raw.requester.user_id))]
pub(crate) async fn latest(State(e2ee): State<E2ee>, raw: Raw) -> Answer {
    show(find_current_version(&e2ee, &raw.requester.user_id).await?)
}

#[tracing::instrument(name = "client.backup.get_backup_info", skip_all, fields(user.id = %raw.requester.user_id))]
pub(crate) async fn handler(State(e2ee): State<E2ee>, raw: Raw) -> Answer {
    show(find_version(&e2ee, &raw.requester.user_id, raw.path_arg(0)?).await?)
}

fn show(backup: Option<KeyBackup>) -> Answer {
    let backup = backup.ok_or_else(|| ApiError::not_found("No backup found"))?;
    Ok(Json(json!({
        "version": backup.version.to_string(),
        "algorithm": backup.algorithm,
        "auth_data": backup.auth_data,
        "etag": backup.etag.to_string(),
        "count": backup.keys_count,
    })))
}
