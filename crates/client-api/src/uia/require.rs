//! Asks the caller to prove again who they are.

use http::StatusCode;
use myelin_accounts::{
    Accounts,
    uia::{self, CallerRequest, UiaError, UiaProgress},
};
use myelin_http::{ApiError, RateLimits, Raw};
use myelin_model::TokenHash;
use ruma::api::error::ErrorKind;
use serde_json::{Map, Value};

/// The proof that an endpoint asks of the caller.
pub(crate) struct Demand<'a> {
    pub(crate) token: &'a TokenHash,
    /// A proof that was given lately is enough.
    pub(crate) may_skip: bool,
    /// The names in the body that may be stored until the proof is given. Never those of secrets.
    pub(crate) kept: &'a [&'static str],
    /// A new password in the body. Its hash is stored until the proof is given.
    pub(crate) new_password: Option<&'a str>,
}

/// The request of a caller who has proved who it is.
pub(crate) struct Proved {
    /// The body as sent now, or what was kept of it earlier in the session.
    pub(crate) params: Map<String, Value>,
    /// The hash of the new password that was sent earlier in the session.
    pub(crate) password_hash: Option<String>,
}

/// Let the request pass if its caller has authenticated for it again, or lately if that is enough.
pub(crate) async fn require_auth(
    accounts: &Accounts,
    rate_limits: &RateLimits,
    raw: &Raw,
    mut params: Map<String, Value>,
    demand: &Demand<'_>,
) -> Result<Proved, ApiError> {
    let user_id = &*raw.requester.user_id;
    let auth = take_auth(&mut params)?;
    if demand.may_skip && uia::is_proved_lately(accounts, demand.token).await? {
        return Ok(Proved { params, password_hash: None });
    }
    let attempts = &rate_limits.login_failed_attempts;
    let account = user_id.as_str().to_lowercase();
    let is_attempt = auth.is_some();
    if is_attempt {
        // Counted as a failure until it is known to be none.
        attempts.check(&account)?;
    } else {
        attempts.would_allow(&account)?;
    }
    // Each may begin a session, and have the hash of a password made.
    let unproved = &rate_limits.unproved_requests;
    unproved.check(&account)?;
    let request = CallerRequest {
        user_id,
        token: demand.token,
        operation: &operation(raw, user_id.as_str()),
        params,
        kept: demand.kept,
        auth,
    };
    let progress = uia::authenticate_caller(accounts, request).await;
    let has_failed = match &progress {
        Ok(UiaProgress::Incomplete { has_failed, .. }) => *has_failed,
        Ok(UiaProgress::Complete { .. }) | Err(_) => false,
    };
    if is_attempt && !has_failed {
        attempts.take_back(&account);
    }
    match progress.map_err(to_api_error)? {
        UiaProgress::Complete { params, stages, .. } => {
            unproved.take_back(&account);
            let hash = stages.get(uia::PASSWORD_HASH).and_then(Value::as_str);
            Ok(Proved { params, password_hash: hash.map(ToOwned::to_owned) })
        }
        UiaProgress::Incomplete { session_id, body, .. } => {
            if let Some(new_password) = demand.new_password {
                uia::keep_password(accounts, &session_id, new_password)
                    .await
                    .map_err(ApiError::internal)?;
            }
            Err(answer_incomplete(body))
        }
    }
}

/// 401 with what is still to be done.
pub(crate) fn answer_incomplete(body: Value) -> ApiError {
    ApiError::json(StatusCode::UNAUTHORIZED, body)
}

/// The method, path and user of a request. A session of user-interactive authentication holds for no other.
pub(crate) fn operation<A: myelin_http::Authenticate>(raw: &Raw<A>, user: &str) -> String {
    format!("{} {} {user}", raw.parts.method, raw.parts.uri.path())
}

/// Take `auth` out of a body.
pub(crate) fn take_auth(
    params: &mut Map<String, Value>,
) -> Result<Option<Map<String, Value>>, ApiError> {
    match params.remove("auth") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(auth)) if auth.is_empty() => Ok(None),
        Some(Value::Object(auth)) => Ok(Some(auth)),
        Some(_) => Err(ApiError::bad_json("auth must be an object")),
    }
}

pub(crate) fn to_api_error(error: UiaError) -> ApiError {
    let message = error.to_string();
    match error {
        UiaError::UnknownSession(_) => ApiError::unknown(message),
        UiaError::OtherOperation => {
            ApiError::client(StatusCode::FORBIDDEN, ErrorKind::Unknown, message)
        }
        UiaError::Invalid(_) => ApiError::invalid_param(message),
        UiaError::TooLarge => ApiError::too_large(message),
        UiaError::OtherUser => ApiError::forbidden(message),
        UiaError::Password(error) => ApiError::internal(error),
        UiaError::Storage(error) => error.into(),
    }
}
