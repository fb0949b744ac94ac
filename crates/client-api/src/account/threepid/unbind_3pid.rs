//! `POST /_matrix/client/v3/account/3pid/unbind` (client-server API, "Adding Account Administrative Contact
//! Information").

use axum::Json;
use myelin_http::Raw;
use serde_json::json;

use crate::Answer;

#[tracing::instrument(name = "client.account.unbind_3pid", skip_all, fields(user.id = %raw.requester.user_id))]
pub(crate) async fn handler(raw: Raw) -> Answer {
    raw.json_object(false)?;
    // No identity server has been told anything.
    Ok(Json(json!({ "id_server_unbind_result": "no-support" })))
}
