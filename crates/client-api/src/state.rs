//! The state that the handlers of this surface work with. A handler names the parts it needs as `State<..>`.

use std::sync::Arc;

use axum::extract::FromRef;
use myelin_accounts::Accounts;
use myelin_e2ee::E2ee;
use myelin_http::RateLimits;
use myelin_model::Secret;
use myelin_rooms::Rooms;
use myelin_sync::Sync;
use serde_json::{Value, json};

/// The state of the client-server API. It is cheap to clone.
#[derive(Debug, Clone)]
pub struct ClientApi {
    pub accounts: Accounts,
    pub rooms: Rooms,
    pub e2ee: E2ee,
    pub sync: Sync,
    pub rate_limits: RateLimits,
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
    accounts: Accounts,
    rooms: Rooms,
    e2ee: E2ee,
    sync: Sync,
    rate_limits: RateLimits,
    settings: ClientApiSettings,
}

/// The settings that concern this surface alone. It is cheap to clone. The names are those of `homeserver.yaml`.
#[derive(Debug, Clone, Default)]
pub struct ClientApiSettings {
    /// The URL at which clients reach this server, with a slash at the end. `None`: it is not told to them.
    pub public_baseurl: Option<Arc<str>>,
    /// The relays for calls.
    pub turn: Arc<TurnSettings>,
}

impl ClientApiSettings {
    /// The well-known document that the answer to a login carries. `None` without a public URL.
    pub(crate) fn well_known(&self) -> Option<Value> {
        let base_url = self.public_baseurl.as_ref()?;
        Some(json!({ "m.homeserver": { "base_url": &**base_url } }))
    }
}

/// `turn_*`.
#[derive(Debug, Clone)]
pub struct TurnSettings {
    /// `turn_uris`: the URIs of the relays. Without any, clients hear of no relay.
    pub uris: Vec<String>,
    /// `turn_shared_secret`: the secret from which passwords for a time are made. It comes before a fixed user name.
    pub shared_secret: Option<Secret>,
    /// `turn_username`: the name that all users have at the relays, where there is no shared secret.
    pub username: Option<String>,
    /// `turn_password`: the password of that name.
    pub password: Option<Secret>,
    /// `turn_user_lifetime`: the time for which a password that was made holds, in milliseconds.
    pub user_lifetime_ms: u64,
    /// `turn_allow_guests`: guests hear of the relays, too.
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
