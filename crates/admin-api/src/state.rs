//! What the handlers of this surface work with.

use std::sync::Arc;

use axum::extract::FromRef;
use myelin_accounts::Accounts;

use crate::nonces::Nonces;

/// The state of the admin API. Cheap to clone.
#[derive(Debug, Clone)]
pub struct AdminApi {
    accounts: Accounts,
    nonces: Arc<Nonces>,
}

impl AdminApi {
    /// Serve the accounts.
    pub fn new(accounts: Accounts) -> Self {
        Self { accounts, nonces: Arc::default() }
    }
}

impl FromRef<AdminApi> for Accounts {
    fn from_ref(api: &AdminApi) -> Self {
        api.accounts.clone()
    }
}

impl FromRef<AdminApi> for Arc<Nonces> {
    fn from_ref(api: &AdminApi) -> Self {
        Arc::clone(&api.nonces)
    }
}
