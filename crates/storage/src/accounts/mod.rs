//! Users, their devices and tokens, and what they store about themselves.

mod devices;
mod tokens;
mod users;

pub use self::{
    devices::{Device, Devices},
    tokens::{NewAccessToken, NewRefreshToken, RefreshToken, StoredSession, Tokens},
    users::{NewUser, StoredUser, Users},
};

/// Milliseconds since the epoch as PostgreSQL keeps them.
pub(crate) fn to_sql_ts(ts: u64) -> i64 {
    i64::try_from(ts).unwrap_or(i64::MAX)
}

/// Milliseconds since the epoch as PostgreSQL kept them.
pub(crate) fn from_sql_ts(ts: i64) -> u64 {
    u64::try_from(ts).unwrap_or_default()
}
