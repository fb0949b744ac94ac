//! What the handlers of this surface work with. A handler names the parts it needs as `State<..>`.

use axum::extract::FromRef;
use myelin_accounts::Accounts;
use myelin_http::RateLimits;
use myelin_rooms::Rooms;
use myelin_storage::Db;

/// The state of the client-server API. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ClientApi {
    /// Storage.
    pub db: Db,
    /// Accounts.
    pub accounts: Accounts,
    /// Rooms.
    pub rooms: Rooms,
    /// Rate limits.
    pub rate_limits: RateLimits,
}

/// Lets handlers ask for a field by its type.
macro_rules! parts {
    ($($field:ident: $part:ty,)*) => {$(
        impl FromRef<ClientApi> for $part {
            fn from_ref(api: &ClientApi) -> Self {
                api.$field.clone()
            }
        }
    )*};
}

parts! {
    db: Db,
    accounts: Accounts,
    rooms: Rooms,
    rate_limits: RateLimits,
}
