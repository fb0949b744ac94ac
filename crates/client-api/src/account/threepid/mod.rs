//! Addresses of users (client-server API, "Adding Account Administrative Contact Information").
//!
//! Addresses are confirmed by mail or text message, which this server does not send: the endpoints that need it refuse
//! with the codes of the specification.

mod add_3pid;
mod bind_3pid;
mod delete_3pid;
mod get_3pids;
mod request_token;
mod unbind_3pid;

use http::{Method, StatusCode};
use myelin_accounts::Accounts;
use myelin_http::{ApiError, RumaRouter};
use ruma::api::{
    auth_scheme::{AccessToken, NoAccessToken},
    client::account,
    error::ErrorKind,
};

use crate::ClientApi;

const REQUEST_TOKEN: &[&str] = &[
    "/_matrix/client/v3/register/email/requestToken",
    "/_matrix/client/r0/register/email/requestToken",
    "/_matrix/client/v3/register/msisdn/requestToken",
    "/_matrix/client/r0/register/msisdn/requestToken",
    "/_matrix/client/v3/account/password/email/requestToken",
    "/_matrix/client/r0/account/password/email/requestToken",
    "/_matrix/client/v3/account/password/msisdn/requestToken",
    "/_matrix/client/r0/account/password/msisdn/requestToken",
];
const REQUEST_TOKEN_TO_ADD: &[&str] = &[
    "/_matrix/client/v3/account/3pid/email/requestToken",
    "/_matrix/client/r0/account/3pid/email/requestToken",
    "/_matrix/client/v3/account/3pid/msisdn/requestToken",
    "/_matrix/client/r0/account/3pid/msisdn/requestToken",
];

pub(crate) fn routes() -> RumaRouter<ClientApi> {
    RumaRouter::new()
        .endpoint::<account::get_3pids::v3::Request, _, _>(get_3pids::handler)
        .endpoint::<account::add_3pid::v3::Request, _, _>(add_3pid::handler)
        .endpoint::<account::bind_3pid::v3::Request, _, _>(bind_3pid::handler)
        .endpoint::<account::delete_3pid::v3::Request, _, _>(delete_3pid::handler)
        .endpoint::<account::unbind_3pid::v3::Request, _, _>(unbind_3pid::handler)
        .raw::<AccessToken, _, _>(
            "account::add_3pid_deprecated",
            Method::POST,
            &["/_matrix/client/v3/account/3pid", "/_matrix/client/r0/account/3pid"],
            add_3pid::handler,
        )
        .raw::<NoAccessToken, _, _>(
            "account::request_token",
            Method::POST,
            REQUEST_TOKEN,
            request_token::handler,
        )
        .raw::<NoAccessToken, _, _>(
            "account::request_3pid_management_token",
            Method::POST,
            REQUEST_TOKEN_TO_ADD,
            request_token::to_add,
        )
}

fn not_validated() -> ApiError {
    ApiError::client(
        StatusCode::BAD_REQUEST,
        ErrorKind::ThreepidAuthFailed,
        "No validated 3pid session found",
    )
}

fn check_enabled(accounts: &Accounts) -> Result<(), ApiError> {
    if accounts.settings().enable_3pid_changes {
        return Ok(());
    }
    Err(ApiError::client(
        StatusCode::BAD_REQUEST,
        ErrorKind::Forbidden,
        "3PID changes are disabled on this server",
    ))
}
