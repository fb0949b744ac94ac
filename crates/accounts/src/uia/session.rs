//! Sessions of user-interactive authentication: what is kept from one request of a client to the next.

use myelin_storage::{
    StorageError,
    accounts::{UIA_SESSION_LIFETIME_MS, UiaSession},
};
use serde_json::{Map, Value};

use super::{UiaError, UiaRequest};
use crate::{
    Accounts,
    password::{self, PasswordError},
    random,
};

/// The characters of a session's name.
const SESSION_ID_LENGTH_CHARS: usize = 24;

/// The size of what a session keeps of a request, in bytes.
const PARAMS_SIZE_BYTES_MAX: usize = 65_536;

/// The size of what it keeps of a request of somebody who is not logged in, in bytes: strangers may begin any number of sessions.
const PARAMS_OF_STRANGERS_SIZE_BYTES_MAX: usize = 4_096;

/// The note of whom a registration's session has registered.
pub const REGISTERED_USER: &str = "registered_user";

/// The note of the new password that a session began with, as its hash.
pub const PASSWORD_HASH: &str = "password_hash";

/// Begin a session, which keeps of the request what it may.
pub(super) async fn begin(
    accounts: &Accounts,
    request: &UiaRequest<'_>,
) -> Result<UiaSession, UiaError> {
    let kept = request.params.iter().filter(|(name, _)| request.kept.contains(&name.as_str()));
    let params: Map<String, Value> =
        kept.map(|(name, value)| (name.clone(), value.clone())).collect();
    let size = serde_json::to_string(&params).map_or(usize::MAX, |json| json.len());
    let size_max = match request.user_id {
        Some(_) => PARAMS_SIZE_BYTES_MAX,
        None => PARAMS_OF_STRANGERS_SIZE_BYTES_MAX,
    };
    if size > size_max {
        return Err(UiaError::TooLarge);
    }
    let now = accounts.now_ms();
    let session = UiaSession {
        session_id: random::text(SESSION_ID_LENGTH_CHARS),
        created_ts: now,
        operation: request.operation.to_owned(),
        params,
        stages: Map::new(),
    };
    let mut tx = accounts.db().begin().await?;
    tx.uia_sessions().add(&session).await?;
    tx.commit().await?;
    Ok(session)
}

/// Find the session that a request goes on with. It holds for nothing else than it was begun for.
pub(super) async fn resume(
    accounts: &Accounts,
    session_id: &str,
    request: &UiaRequest<'_>,
) -> Result<UiaSession, UiaError> {
    let session = find(accounts, session_id)
        .await?
        .ok_or_else(|| UiaError::UnknownSession(session_id.to_owned()))?;
    if session.operation != request.operation {
        return Err(UiaError::OtherOperation);
    }
    Ok(session)
}

/// Find a session that still holds.
pub async fn find(
    accounts: &Accounts,
    session_id: &str,
) -> Result<Option<UiaSession>, StorageError> {
    let since = accounts.now_ms().saturating_sub(UIA_SESSION_LIFETIME_MS);
    accounts.db().uia_sessions().find(session_id, since).await
}

/// Take a note in a session.
pub(super) async fn set_stage(
    accounts: &Accounts,
    session_id: &str,
    name: &str,
    value: &Value,
) -> Result<(), StorageError> {
    let mut tx = accounts.db().begin().await?;
    tx.uia_sessions().set_stage(session_id, name, value).await?;
    tx.commit().await?;
    Ok(())
}

/// Keep the password of a request that is not authenticated yet, as its hash. The first of a session stays.
pub async fn keep_password(
    accounts: &Accounts,
    session_id: &str,
    new_password: &str,
) -> Result<(), PasswordError> {
    let session = find(accounts, session_id).await?;
    if session.is_none_or(|session| session.stages.contains_key(PASSWORD_HASH)) {
        return Ok(());
    }
    let hash = password::hash(accounts, new_password).await?;
    Ok(set_stage(accounts, session_id, PASSWORD_HASH, &hash.into()).await?)
}
