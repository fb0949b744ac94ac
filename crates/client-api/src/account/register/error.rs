//! The reason why nobody is registered, as clients are told.

use http::StatusCode;
use myelin_accounts::{Accounts, password, registration::UsernameError};
use myelin_http::ApiError;
use ruma::api::error::ErrorKind;

/// Whether a new password is good enough.
pub(in crate::account) fn check_policy(
    accounts: &Accounts,
    new_password: &str,
) -> Result<(), ApiError> {
    password::check_policy(&accounts.settings().password_policy, new_password).map_err(|weak| {
        ApiError::with_fields(StatusCode::BAD_REQUEST, weak.errcode(), weak.to_string(), [])
    })
}

pub(in crate::account) fn to_api_error(error: UsernameError) -> ApiError {
    let message = error.to_string();
    match error {
        UsernameError::Characters
        | UsernameError::Empty
        | UsernameError::Underscore
        | UsernameError::TooLong
        | UsernameError::Numeric => {
            ApiError::client(StatusCode::BAD_REQUEST, ErrorKind::InvalidUsername, message)
        }
        UsernameError::Exclusive => {
            ApiError::client(StatusCode::BAD_REQUEST, ErrorKind::Exclusive, message)
        }
        UsernameError::InUse => {
            ApiError::client(StatusCode::BAD_REQUEST, ErrorKind::UserInUse, message)
        }
        UsernameError::OtherRegistered | UsernameError::SessionUsed => ApiError::unknown(message),
        UsernameError::NotThatGuest => ApiError::forbidden(message),
        UsernameError::Storage(error) => error.into(),
    }
}
