//! What the handlers of this surface work with. A handler names the parts it needs as `State<..>`.

use std::sync::Arc;

use axum::extract::FromRef;
use myelin_accounts::Accounts;
use myelin_http::RateLimits;
use myelin_rooms::Rooms;
use myelin_storage::Db;
use myelin_sync::Sync;
use serde_json::{Value, json};

/// The state of the client-server API. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ClientApi {
    /// Storage.
    pub db: Db,
    /// Accounts.
    pub accounts: Accounts,
    /// Rooms.
    pub rooms: Rooms,
    /// The read side.
    pub sync: Sync,
    /// Rate limits.
    pub rate_limits: RateLimits,
    /// What of the configuration concerns this surface alone.
    pub settings: ClientApiSettings,
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
    sync: Sync,
    rate_limits: RateLimits,
    settings: ClientApiSettings,
}

/// What of the configuration concerns this surface alone. Cheap to clone. The names are those of `homeserver.yaml`.
#[derive(Debug, Clone, Default)]
pub struct ClientApiSettings {
    /// Where clients reach this server, with a slash at the end.
    pub public_baseurl: Option<Arc<str>>,
    /// Relays for calls.
    pub turn: Arc<TurnSettings>,
}

impl ClientApiSettings {
    /// What a login tells of the server.
    pub(crate) fn well_known(&self) -> Option<Value> {
        let base_url = self.public_baseurl.as_ref()?;
        Some(json!({ "m.homeserver": { "base_url": &**base_url } }))
    }
}

/// `turn_*`.
#[derive(Debug, Clone)]
pub struct TurnSettings {
    /// `turn_uris`. None: no relays.
    pub uris: Vec<String>,
    /// `turn_shared_secret`.
    pub shared_secret: Option<String>,
    /// `turn_username`.
    pub username: Option<String>,
    /// `turn_password`.
    pub password: Option<String>,
    /// `turn_user_lifetime`, in milliseconds.
    pub user_lifetime_ms: u64,
    /// `turn_allow_guests`.
    pub allow_guests: bool,
}

impl Default for TurnSettings {
    fn default() -> Self {
        Self {
            uris: vec![],
            shared_secret: None,
            username: None,
            password: None,
            user_lifetime_ms: 3600 * 1000,
            allow_guests: true,
        }
    }
}
