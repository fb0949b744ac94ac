//! `GET /_matrix/client/v3/pushers` (client-server API, "Push Notifications").

use axum::{Json, extract::State};
use myelin_accounts::{Accounts, pushers};
use myelin_http::Raw;
use serde_json::json;

use crate::Answer;

#[tracing::instrument(name = "client.push.get_pushers", skip_all, fields(user.id = %raw.requester.user_id))]
pub(crate) async fn handler(State(accounts): State<Accounts>, raw: Raw) -> Answer {
    let pushers = pushers::list(&accounts, &raw.requester.user_id).await?;
    Ok(Json(json!({ "pushers": pushers })))
}
