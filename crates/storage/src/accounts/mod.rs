//! Users, their devices and tokens, and what they store about themselves.

mod account_data;
mod devices;
mod erased;
mod filters;
mod profiles;
mod pushers;
mod read_markers;
mod registration_tokens;
mod threepids;
mod tokens;
mod uia_sessions;
mod used_nonces;
mod user_directory;
mod user_ips;
mod users;

pub use self::{
    account_data::{AccountData, AccountDataTx, StoredAccountData},
    devices::{Device, Devices, DevicesTx},
    filters::{Filters, FiltersTx},
    profiles::{Profile, Profiles, ProfilesTx},
    pushers::{Pusher, Pushers, PushersTx},
    read_markers::ReadMarkersTx,
    registration_tokens::{RegistrationTokens, RegistrationTokensTx},
    threepids::{Threepid, Threepids, ThreepidsTx},
    tokens::{NewAccessToken, NewRefreshToken, RefreshToken, StoredSession, Tokens, TokensTx},
    uia_sessions::{UIA_SESSION_LIFETIME_MS, UiaSession, UiaSessions, UiaSessionsTx},
    used_nonces::UsedNoncesTx,
    user_directory::{FoundUser, UserDirectory},
    user_ips::UserIps,
    users::{NewUser, StoredUser, Users, UsersTx},
};

pub(crate) use self::{
    erased::ErasedUsers,
    uia_sessions::delete_old as delete_old_uia_sessions,
    user_ips::{Call, run as write_user_ips},
};

/// Milliseconds since the epoch as PostgreSQL keeps them.
pub(crate) fn to_sql_ts(ts: u64) -> i64 {
    i64::try_from(ts).unwrap_or(i64::MAX)
}

/// Milliseconds since the epoch as PostgreSQL kept them.
pub(crate) fn from_sql_ts(ts: i64) -> u64 {
    u64::try_from(ts).unwrap_or_default()
}
