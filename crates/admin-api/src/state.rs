//! What the handlers of this surface work with.

use axum::extract::FromRef;
use myelin_accounts::Accounts;

/// The state of the admin API. Cheap to clone.
#[derive(Debug, Clone)]
pub struct AdminApi {
    accounts: Accounts,
}

impl AdminApi {
    /// Serve the accounts.
    pub fn new(accounts: Accounts) -> Self {
        Self { accounts }
    }
}

impl FromRef<AdminApi> for Accounts {
    fn from_ref(api: &AdminApi) -> Self {
        api.accounts.clone()
    }
}
