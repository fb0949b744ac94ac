//! `GET /_matrix/client/v3/room_keys/keys`, `GET /_matrix/client/v3/room_keys/keys/{roomId}` and `GET
//! /_matrix/client/v3/room_keys/keys/{roomId}/{sessionId}` (client-server API, "Server-side key backups").

use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse as _, Response},
};
use futures_util::stream;
use http::{HeaderValue, header::CONTENT_TYPE};
use myelin_e2ee::{
    E2ee,
    backup::{KeyPages, ReadKeysError, find_key, read_keys},
};
use myelin_http::{ApiError, Raw};
use myelin_storage::StorageError;

use crate::reply::JsonText;

#[tracing::instrument(name = "client.backup.get_backup_keys", skip_all, fields(user.id = %raw.requester.user_id))]
pub(crate) async fn all(State(e2ee): State<E2ee>, raw: Raw) -> Result<Response, ApiError> {
    read(&e2ee, &raw, None).await
}

#[tracing::instrument(name = "client.backup.get_backup_keys_for_room", skip_all, fields(user.id = %raw.requester.user_id))]
pub(crate) async fn room(State(e2ee): State<E2ee>, raw: Raw) -> Result<Response, ApiError> {
    read(&e2ee, &raw, Some(raw.path_arg(0)?)).await
}

#[tracing::instrument(name = "client.backup.get_backup_keys_for_session", skip_all, fields(user.id = %raw.requester.user_id))]
pub(crate) async fn session(State(e2ee): State<E2ee>, raw: Raw) -> Result<JsonText, ApiError> {
    let (room_id, session_id) = (raw.path_arg(0)?, raw.path_arg(1)?);
    let version = super::version(&raw)?;
    find_key(&e2ee, &raw.requester.user_id, &version, room_id, session_id)
        .await
        .map(JsonText)
        .map_err(to_api_error)
}

async fn read(e2ee: &E2ee, raw: &Raw, room_id: Option<&str>) -> Result<Response, ApiError> {
    let version = super::version(raw)?;
    let mut pages =
        read_keys(e2ee, &raw.requester.user_id, &version, room_id).await.map_err(to_api_error)?;
    // What fails at once is answered as an error. Later on the answer can only be cut off.
    let first = pages.next().await?.unwrap_or_default();
    let parts = stream::try_unfold((Some(first), pages), next_part);
    let mut response = Body::from_stream(parts).into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

/// The first part, which is read already, and then the others.
async fn next_part(
    (first, mut pages): (Option<String>, KeyPages),
) -> Result<Option<(String, (Option<String>, KeyPages))>, StorageError> {
    let part = match first {
        Some(first) => Some(first),
        None => pages.next().await.inspect_err(|error| {
            let error = error as &dyn std::error::Error;
            tracing::error!(error, "could not read a backup to its end");
        })?,
    };
    Ok(part.map(|part| (part, (None, pages))))
}

fn to_api_error(error: ReadKeysError) -> ApiError {
    match error {
        ReadKeysError::UnknownVersion | ReadKeysError::UnknownKey => {
            ApiError::not_found(error.to_string())
        }
        ReadKeysError::Storage(error) => error.into(),
    }
}
