//! Who calls.

use ruma::{OwnedDeviceId, OwnedUserId};

/// An authenticated device, as the access token identifies it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DeviceSession {
    /// The user that the token acts as.
    pub user_id: OwnedUserId,
    /// The device the token was issued to. `None` for tokens without a device: those of application services,
    /// and those an admin made to act as another user.
    pub device_id: Option<OwnedDeviceId>,
    /// The account is a guest's.
    pub is_guest: bool,
    /// The account may use the admin API.
    pub is_admin: bool,
    /// The account may read and leave, not write (client-server API, "Account suspension").
    pub is_suspended: bool,
    /// The application service that acts, by its registration's `id`.
    pub appservice_id: Option<String>,
    /// The limits that hold for the caller instead of those of the configuration.
    pub rate_limit: Option<RateLimitOverride>,
}

/// A rate limit of one user's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RateLimitOverride {
    /// Actions per second. With a burst count of zero too: no limit.
    pub messages_per_second: i32,
    /// How many actions may come at once.
    pub burst_count: i32,
}

impl RateLimitOverride {
    /// No limit at all.
    pub const UNLIMITED: Self = Self { messages_per_second: 0, burst_count: 0 };
}
