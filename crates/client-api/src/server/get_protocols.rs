//! `GET /_matrix/client/v3/thirdparty/protocols` (client-server API, "Third-party Lookups").

use axum::Json;
use myelin_http::Raw;
use serde_json::json;

use crate::Answer;

#[tracing::instrument(name = "client.server.get_protocols", skip_all)]
pub(crate) async fn handler(_raw: Raw) -> Answer {
    // Application services are not asked yet, so no network is reachable through them.
    Ok(Json(json!({})))
}
