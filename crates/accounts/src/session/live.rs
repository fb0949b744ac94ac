//! Sessions that requests wait in.

use std::{pin::pin, sync::Arc};

use myelin_model::TokenHash;

use super::{
    authenticate::{AuthenticateError, actor_of, find},
    cache::KnownSession,
};
use crate::Accounts;

/// A session that a request was made in. It may end while the request waits.
#[derive(Debug, Clone)]
pub struct LiveSession {
    token: TokenHash,
    known: Arc<KnownSession>,
}

impl LiveSession {
    pub(super) fn new(token: TokenHash, known: Arc<KnownSession>) -> Self {
        Self { token, known }
    }

    /// Wait for an answer as long as the session lasts: whose token is revoked waits no longer, on whatever node that
    /// happens, and hears of nothing that came after it.
    ///
    /// This node's memory of sessions follows the log before what wakes requests does ([`Accounts`] come before the read
    /// side), so that what an answer tells is never ahead of it.
    pub async fn hold<T>(
        &self,
        accounts: &Accounts,
        answer: impl Future<Output = T>,
    ) -> Result<T, AuthenticateError> {
        let mut answer = pin!(answer);
        let mut known = Arc::clone(&self.known);
        loop {
            let answered = tokio::select! {
                biased;
                () = known.voided.cancelled() => None,
                answered = &mut answer => Some(answered),
            };
            if known.voided.is_cancelled() {
                known = Box::pin(self.find_again(accounts)).await?;
            }
            if let Some(answered) = answered {
                return Ok(answered);
            }
        }
    }

    async fn find_again(
        &self,
        accounts: &Accounts,
    ) -> Result<Arc<KnownSession>, AuthenticateError> {
        match find(accounts, &self.token).await {
            Ok(known) if known.stored.locked => {
                Err(AuthenticateError::Locked(Box::new(actor_of(&known.stored))))
            }
            // The device has exchanged the token for another: it is not logged out, and must not take itself for it.
            Err(AuthenticateError::UnknownToken) if self.has_device(accounts).await? => {
                Err(AuthenticateError::Expired)
            }
            found => found,
        }
    }

    async fn has_device(&self, accounts: &Accounts) -> Result<bool, AuthenticateError> {
        let stored = &self.known.stored;
        let Some(device_id) = &stored.device_id else { return Ok(false) };
        Ok(accounts.db().devices().find(&stored.user_id, device_id).await?.is_some())
    }
}
