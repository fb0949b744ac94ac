//! Named limits that several crates share. Each has a unit in its name.

/// The size of a PDU in its canonical JSON (client-server API, "Size limits").
pub const EVENT_SIZE_BYTES_MAX: usize = 65_536;

/// The length of user IDs, room IDs, event IDs, event types and state keys.
pub const ID_LENGTH_BYTES_MAX: usize = 255;

/// The `prev_events` of one event.
pub const PREV_EVENTS_MAX: usize = 20;

/// The `auth_events` of one event.
pub const AUTH_EVENTS_MAX: usize = 10;

/// The length of a client's transaction ID.
pub const TXN_ID_LENGTH_BYTES_MAX: usize = 512;

/// The length of a device ID.
pub const DEVICE_ID_LENGTH_BYTES_MAX: usize = 512;

/// The content of one account data entry: as large as the largest request, as in Synapse. `m.direct` of somebody who knows
/// many has more than 64 KiB.
pub const ACCOUNT_DATA_SIZE_BYTES_MAX: usize = 200 * 65_536;

/// All push rules of a user together.
pub const PUSH_RULES_SIZE_BYTES_MAX: usize = 1024 * 1024;

/// All profile fields of a user together (client-server API, "Profiles").
pub const PROFILE_SIZE_BYTES_MAX: usize = 65_536;
