//! Exchanges a refresh token for new tokens.

use myelin_model::TokenHash;
use myelin_storage::StorageError;

use super::{StartedSession, start::issue};
use crate::Accounts;

/// The reason why a refresh token is refused.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// Nobody has this token.
    #[error("refresh token doesn't exist")]
    Unknown,
    /// One of the tokens that it was exchanged for is in use.
    #[error("refresh token isn't valid anymore")]
    Used,
    /// It, or the session, has run out.
    #[error("The supplied refresh token has expired")]
    Expired,
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Exchange a refresh token. As long as nothing of what it was exchanged for is used, it may be exchanged again: the
/// answer may have been lost on its way.
pub async fn refresh(accounts: &Accounts, token: &str) -> Result<StartedSession, RefreshError> {
    let now = accounts.now_ms();
    let mut tx = accounts.db().begin().await?;
    let old =
        tx.tokens().find_refresh(&TokenHash::of(token)).await?.ok_or(RefreshError::Unknown)?;
    if old.next_used {
        return Err(RefreshError::Used);
    }
    let has_expired = |ts: Option<u64>| ts.is_some_and(|ts| ts <= now);
    if has_expired(old.expires_ts) || has_expired(old.session_expires_ts) {
        return Err(RefreshError::Expired);
    }
    let issued =
        issue(accounts, &mut tx, &old.user_id, &old.device_id, true, old.session_expires_ts)
            .await?;
    if let Some(nid) = issued.refresh_nid {
        tx.tokens().set_next_refresh(old.nid, nid).await?;
    }
    tx.tokens().publish(&old.user_id);
    tx.commit().await?;
    Ok(issued.session)
}
