//! Whether users are there.

use myelin_storage::StorageError;
pub use myelin_storage::{Presence, PresenceState};
use ruma::UserId;

use crate::Rooms;

/// The length of what a user says of being there.
const STATUS_LENGTH_BYTES_MAX: usize = 1_024;

/// The reason why presence is not shown or set.
#[derive(Debug, thiserror::Error)]
pub enum PresenceError {
    /// The users share no room.
    #[error("You are not allowed to see their presence.")]
    NotShared,
    #[error("status_msg is longer than {STATUS_LENGTH_BYTES_MAX} bytes")]
    StatusTooLong,
    /// The status has a NUL character in it, which cannot be stored.
    #[error("status_msg must not contain NUL characters")]
    StatusUnstorable,
    #[error("could not read rooms")]
    Storage(#[from] StorageError),
}

/// A user's presence, for another who shares a room. `None`: nothing is known, so the user counts as offline.
pub async fn find_presence(
    rooms: &Rooms,
    reader: &UserId,
    user_id: &UserId,
) -> Result<Option<Presence>, PresenceError> {
    let hub = rooms.db().ephemeral();
    if !hub.is_presence_enabled() {
        return Ok(None);
    }
    if reader != user_id && !rooms.db().memberships().share(reader, user_id).await? {
        return Err(PresenceError::NotShared);
    }
    Ok(hub.presence(user_id))
}

/// Set a user's own presence. Nothing happens when presence is disabled.
pub fn set_presence(
    rooms: &Rooms,
    user_id: &UserId,
    state: PresenceState,
    status_msg: Option<String>,
) -> Result<(), PresenceError> {
    if status_msg.as_ref().is_some_and(|status| status.len() > STATUS_LENGTH_BYTES_MAX) {
        return Err(PresenceError::StatusTooLong);
    }
    // Presence is written for many users at once: what cannot be stored would keep all of it from being written.
    if status_msg.as_ref().is_some_and(|status| status.contains('\0')) {
        return Err(PresenceError::StatusUnstorable);
    }
    let status_msg = status_msg.filter(|status| !status.is_empty());
    rooms.db().ephemeral().set_presence(user_id, state, status_msg);
    Ok(())
}
