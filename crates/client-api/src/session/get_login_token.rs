//! `POST /_matrix/client/v1/login/get_token` (client-server API, "Login", token login).

use axum::{Json, extract::State};
use myelin_accounts::{Accounts, session};
use myelin_http::{ApiError, BearerToken, RateLimits, Raw};
use serde_json::json;

use crate::{
    Answer,
    uia::{Demand, require_auth},
};

#[tracing::instrument(name = "client.session.get_login_token", skip_all, fields(user.id = %raw.requester.user_id))]
pub(crate) async fn handler(
    State(accounts): State<Accounts>,
    State(rate_limits): State<RateLimits>,
    BearerToken(token): BearerToken,
    raw: Raw,
) -> Answer {
    let settings = &accounts.settings().login_via_existing_session;
    if !settings.enabled {
        return Err(ApiError::unrecognized());
    }
    let body = raw.json_object(true)?;
    if settings.require_ui_auth {
        require_auth(
            &accounts,
            &rate_limits,
            &raw,
            body,
            &Demand { token: &token, may_skip: false, kept: &[], new_password: None },
        )
        .await?;
    }
    rate_limits.login_token.check(raw.requester.user_id.as_str())?;
    let (login_token, expires_in_ms) =
        session::add_login_token(&accounts, &raw.requester.user_id).await?;
    Ok(Json(json!({ "login_token": login_token, "expires_in_ms": expires_in_ms })))
}
