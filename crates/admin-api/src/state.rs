//! The state that the handlers of this surface work with.

use axum::extract::FromRef;
use myelin_accounts::Accounts;
use myelin_rooms::Rooms;

/// The state of the admin API. It is cheap to clone.
#[derive(Debug, Clone)]
pub struct AdminApi {
    accounts: Accounts,
    rooms: Rooms,
}

impl AdminApi {
    /// Serve the accounts and the rooms.
    pub fn new(accounts: Accounts, rooms: Rooms) -> Self {
        Self { accounts, rooms }
    }
}

impl FromRef<AdminApi> for Accounts {
    fn from_ref(api: &AdminApi) -> Self {
        api.accounts.clone()
    }
}

impl FromRef<AdminApi> for Rooms {
    fn from_ref(api: &AdminApi) -> Self {
        api.rooms.clone()
    }
}
