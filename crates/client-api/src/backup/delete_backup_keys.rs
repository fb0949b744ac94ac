//! `DELETE /_matrix/client/v3/room_keys/keys`, `DELETE /_matrix/client/v3/room_keys/keys/{roomId}` and `DELETE
//! /_matrix/client/v3/room_keys/keys/{roomId}/{sessionId}` (client-server API, "Server-side key backups").

use axum::{Json, extract::State};
use myelin_e2ee::{
    E2ee,
    backup::{DeleteKeysError, Part, delete_keys},
};
use myelin_http::{ApiError, Raw};

use crate::Answer;

#[tracing::instrument(name = "client.backup.delete_backup_keys", skip_all, fields(user.id = %raw.requester.user_id))]
pub(crate) async fn all(State(e2ee): State<E2ee>, raw: Raw) -> Answer {
    delete(&e2ee, &raw, Part::All).await
}

#[tracing::instrument(name = "client.backup.delete_backup_keys_for_room", skip_all, fields(user.id = %raw.requester.user_id))]
pub(crate) async fn room(State(e2ee): State<E2ee>, raw: Raw) -> Answer {
    delete(&e2ee, &raw, Part::Room(raw.path_arg(0)?)).await
}

#[tracing::instrument(name = "client.backup.delete_backup_keys_for_session", skip_all, fields(user.id = %raw.requester.user_id))]
pub(crate) async fn session(State(e2ee): State<E2ee>, raw: Raw) -> Answer {
    delete(&e2ee, &raw, Part::Session(raw.path_arg(0)?, raw.path_arg(1)?)).await
}

async fn delete(e2ee: &E2ee, raw: &Raw, part: Part<'_>) -> Answer {
    let version = super::version(raw)?;
    let counts =
        delete_keys(e2ee, &raw.requester.user_id, &version, part).await.map_err(to_api_error)?;
    Ok(Json(super::counts(counts)))
}

fn to_api_error(error: DeleteKeysError) -> ApiError {
    match error {
        DeleteKeysError::NotFound => ApiError::not_found(error.to_string()),
        DeleteKeysError::Storage(error) => error.into(),
    }
}
