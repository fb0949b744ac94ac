//! `GET /_matrix/client/v3/keys/changes` (client-server API, "Key management API").

use axum::{Json, extract::State};
use myelin_http::{ApiError, Raw};
use myelin_sync::{Sync, SyncError, SyncToken, key_changes};
use serde::Deserialize;
use serde_json::json;

use crate::Answer;

#[derive(Debug, Deserialize)]
struct Query {
    from: String,
    to: Option<String>,
}

#[tracing::instrument(name = "client.keys.get_key_changes", skip_all, fields(user.id = %raw.requester.user_id))]
pub(crate) async fn handler(State(sync): State<Sync>, raw: Raw) -> Answer {
    let query: Query = raw.query()?;
    let (from, to) = (token(&query.from)?, query.to.as_deref().map(token).transpose()?);
    let lists = key_changes(&sync, &raw.requester.user_id, from, to).await.map_err(to_api_error)?;
    Ok(Json(json!({ "changed": lists.changed, "left": lists.left })))
}

fn token(token: &str) -> Result<SyncToken, ApiError> {
    SyncToken::parse(token).map_err(|_| ApiError::invalid_param("Invalid stream token"))
}

fn to_api_error(error: SyncError) -> ApiError {
    match error {
        SyncError::Storage(error) => error.into(),
    }
}
