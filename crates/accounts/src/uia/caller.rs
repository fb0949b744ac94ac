//! Callers who prove again who they are, before something that a stolen access token must not be enough for.

use myelin_model::TokenHash;
use myelin_storage::StorageError;
use ruma::UserId;
use serde_json::{Map, Value};

use super::{PASSWORD, UiaError, UiaProgress, UiaRequest, authenticate};
use crate::Accounts;

/// A request whose caller is to prove again who they are.
#[derive(Debug)]
pub struct CallerRequest<'a> {
    /// The caller.
    pub user_id: &'a UserId,
    /// The caller's access token.
    pub token: &'a TokenHash,
    /// Method, path and user: a session holds for nothing else.
    pub operation: &'a str,
    /// The body, without `auth`.
    pub params: Map<String, Value>,
    /// The names in the body that the session may keep. Never those of secrets.
    pub kept: &'a [&'static str],
    /// The member `auth` of the body, as the client sent it. `None` in the first request.
    pub auth: Option<Map<String, Value>>,
}

/// Whether the holder of a token has proved who they are so lately that it counts still. Never, unless the configuration has
/// `ui_auth.session_timeout`.
pub async fn is_proved_lately(
    accounts: &Accounts,
    token: &TokenHash,
) -> Result<bool, StorageError> {
    let timeout_ms = accounts.settings().ui_auth_session_timeout_ms;
    if timeout_ms == 0 {
        return Ok(false);
    }
    let proved_ts = accounts.db().tokens().find_validated(token).await?;
    Ok(proved_ts.is_some_and(|ts| accounts.now_ms().saturating_sub(ts) < timeout_ms))
}

/// Take a step in proving who the caller is: by the password, which is the only way. An account without one has no way through.
pub async fn authenticate_caller(
    accounts: &Accounts,
    request: CallerRequest<'_>,
) -> Result<UiaProgress, UiaError> {
    let CallerRequest { user_id, token, operation, params, kept, auth } = request;
    let flows =
        if has_password(accounts, user_id).await? { vec![vec![PASSWORD]] } else { Vec::new() };
    let request =
        UiaRequest { operation, flows: &flows, params, kept, auth, user_id: Some(user_id) };
    let progress = authenticate(accounts, request).await?;
    if let UiaProgress::Complete { .. } = &progress {
        note_proved(accounts, token).await?;
    }
    Ok(progress)
}

async fn has_password(accounts: &Accounts, user_id: &UserId) -> Result<bool, StorageError> {
    if !accounts.settings().password_reauth_enabled {
        return Ok(false);
    }
    let user = accounts.db().users().find(user_id).await?;
    Ok(user.is_some_and(|user| user.password_hash.is_some()))
}

async fn note_proved(accounts: &Accounts, token: &TokenHash) -> Result<(), StorageError> {
    if accounts.settings().ui_auth_session_timeout_ms == 0 {
        return Ok(());
    }
    let mut tx = accounts.db().begin().await?;
    tx.tokens().set_validated(token, accounts.now_ms()).await?;
    tx.commit().await?;
    Ok(())
}
