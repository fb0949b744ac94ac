//! `POST /_matrix/client/v3/user/{userId}/openid/request_token` (client-server API, "OpenID").

use axum::{Json, extract::State};
use myelin_accounts::{Accounts, openid};
use myelin_http::{ApiError, Raw};
use serde_json::json;

use crate::Answer;

#[tracing::instrument(name = "client.account.request_openid_token", skip_all, fields(user.id = %raw.requester.user_id))]
pub(crate) async fn handler(State(accounts): State<Accounts>, raw: Raw) -> Answer {
    if raw.path_arg(0)? != raw.requester.user_id {
        return Err(ApiError::forbidden("Cannot request tokens for other users."));
    }
    // Nothing is asked of the body.
    let token = openid::add_token(&accounts, &raw.requester.user_id).await?;
    Ok(Json(json!({
        "access_token": token,
        "token_type": "Bearer",
        "matrix_server_name": accounts.server_name(),
        "expires_in": openid::TOKEN_LIFETIME_MS / 1000,
    })))
}
