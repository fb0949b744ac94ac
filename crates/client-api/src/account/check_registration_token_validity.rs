//! `GET /_matrix/client/v1/register/m.login.registration_token/validity` (client-server API, "Token-authenticated
//! registration").

use axum::{Json, extract::State};
use myelin_accounts::{Accounts, registration_tokens};
use myelin_http::{ApiError, RateLimits, Raw};
use ruma::api::auth_scheme::NoAccessToken;
use serde::Deserialize;
use serde_json::json;

use crate::Answer;

#[derive(Deserialize)]
struct Query {
    token: String,
}

#[tracing::instrument(name = "client.account.check_registration_token_validity", skip_all)]
pub(crate) async fn handler(
    State(accounts): State<Accounts>,
    State(rate_limits): State<RateLimits>,
    raw: Raw<NoAccessToken>,
) -> Answer {
    rate_limits.registration_token_validity.check(&raw.address.to_string())?;
    if !accounts.settings().enable_registration {
        return Err(ApiError::forbidden("Registration has been disabled"));
    }
    let token = raw.query::<Query>()?.token;
    let valid = registration_tokens::is_valid(&accounts, &token).await?;
    Ok(Json(json!({ "valid": valid })))
}
