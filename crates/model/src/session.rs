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
}
