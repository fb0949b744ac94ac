//! `POST /_matrix/client/v3/{register,account/password,account/3pid}/{email,msisdn}/requestToken` (client-server API,
//! "Account registration and management", "Adding Account Administrative Contact Information").

use axum::extract::State;
use http::StatusCode;
use myelin_accounts::Accounts;
use myelin_http::{ApiError, Raw};
use ruma::api::{auth_scheme::NoAccessToken, error::ErrorKind};

use crate::Answer;

/// `POST /register/email/requestToken` and its like, for a new account or a forgotten password.
#[tracing::instrument(name = "client.account.request_token", skip_all)]
pub(crate) async fn handler(raw: Raw<NoAccessToken>) -> Answer {
    raw.json_object(false)?;
    Err(not_supported())
}

/// `POST /account/3pid/email/requestToken` and its like, for an address to be added to an account.
#[tracing::instrument(name = "client.account.request_3pid_management_token", skip_all)]
pub(crate) async fn to_add(State(accounts): State<Accounts>, raw: Raw<NoAccessToken>) -> Answer {
    raw.json_object(false)?;
    super::check_enabled(&accounts)?;
    Err(not_supported())
}

fn not_supported() -> ApiError {
    ApiError::client(
        StatusCode::BAD_REQUEST,
        ErrorKind::ThreepidMediumNotSupported,
        "Third party identifiers cannot be verified on this server",
    )
}
