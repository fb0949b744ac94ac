//! `POST /_matrix/client/v3/logout/all` (client-server API, "Logging out").

use axum::{Json, extract::State};
use myelin_accounts::{Accounts, session};
use myelin_http::Raw;
use serde_json::json;

use crate::Answer;

#[tracing::instrument(name = "client.session.logout_all", skip_all, fields(user.id = %raw.requester.user_id))]
pub(crate) async fn handler(State(accounts): State<Accounts>, raw: Raw) -> Answer {
    session::log_out_everywhere(&accounts, &raw.requester).await?;
    Ok(Json(json!({})))
}
