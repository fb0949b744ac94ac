//! The requests that a server refuses while its configuration blocks it (`hs_disabled`), as Synapse does: logging in,
//! registering, `/sync`, making rooms and sending events. Reading goes on.

use http::{Method, StatusCode};
use myelin_accounts::Accounts;
use serde_json::Value;

use crate::{ApiError, restricted::ends_with};

/// Method and end of the path of the endpoints that ask for a token and are refused.
const REFUSED: &[(&str, &str)] = &[
    ("GET", "/sync"),
    ("POST", "/sync"),
    ("POST", "/createRoom"),
    ("POST", "/rooms/*/upgrade"),
    ("POST", "/join/*"),
    ("POST", "/knock/*"),
    ("POST", "/rooms/*/join"),
    ("POST", "/rooms/*/leave"),
    ("POST", "/rooms/*/invite"),
    ("POST", "/rooms/*/kick"),
    ("POST", "/rooms/*/ban"),
    ("POST", "/rooms/*/unban"),
    ("PUT", "/rooms/*/send/*/*"),
    ("POST", "/rooms/*/send/*"),
    ("PUT", "/rooms/*/state/*"),
    ("PUT", "/rooms/*/state/*/*"),
    ("PUT", "/rooms/*/redact/*/*"),
    ("POST", "/rooms/*/redact/*"),
];

/// Refuse everybody if the server is blocked.
pub fn check_not_disabled(accounts: &Accounts) -> Result<(), ApiError> {
    let Some(disabled) = &accounts.settings().disabled else { return Ok(()) };
    let contact = disabled.admin_contact.as_deref().map_or(Value::Null, Value::from);
    Err(ApiError::with_fields(
        StatusCode::FORBIDDEN,
        "M_RESOURCE_LIMIT_EXCEEDED",
        disabled.message.as_str(),
        [("admin_contact", contact), ("limit_type", "hs_disabled".into())],
    ))
}

/// Refuse a call of this route if the server is blocked.
pub(crate) fn check_route(
    accounts: &Accounts,
    method: &Method,
    path: &str,
) -> Result<(), ApiError> {
    let route = path.trim_end_matches('/');
    let is_refused = |(refused, end): &(&str, &str)| method == *refused && ends_with(route, end);
    if accounts.settings().disabled.is_some() && REFUSED.iter().any(is_refused) {
        return check_not_disabled(accounts);
    }
    Ok(())
}
