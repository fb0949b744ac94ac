//! Saying that a user types.

use std::time::Duration;

use myelin_storage::StorageError;
use ruma::{RoomId, UserId};

use crate::Rooms;

/// The time that a user types at most without saying so again, in milliseconds, whatever the client asks for.
const TIMEOUT_MILLIS_MAX: u64 = 120_000;

/// The reason why typing is not announced.
#[derive(Debug, thiserror::Error)]
pub enum TypingError {
    /// The user is not in the room.
    #[error("User {0} not in room")]
    NotInRoom(ruma::OwnedUserId),
    #[error("could not read the room")]
    Storage(#[from] StorageError),
}

/// Say that a user types in a room, for so many milliseconds; `None`: no more. Nothing is written.
pub async fn set_typing(
    rooms: &Rooms,
    user_id: &UserId,
    room_id: &RoomId,
    timeout_millis: Option<u64>,
) -> Result<(), TypingError> {
    let not_in_room = || TypingError::NotInRoom(user_id.to_owned());
    let head = rooms.db().heads().find(room_id).await?.ok_or_else(not_in_room)?;
    if !rooms.engine().is_joined(&head, user_id).await? {
        return Err(not_in_room());
    }
    // Who types for no time at all types for a moment: others hear of it.
    let timeout =
        timeout_millis.map(|millis| Duration::from_millis(millis.clamp(1, TIMEOUT_MILLIS_MAX)));
    rooms.db().ephemeral().set_typing(head.room_nid, user_id, timeout);
    Ok(())
}
