//! The rooms that users are joined to.

use myelin_model::Membership;
use myelin_storage::StorageError;
use ruma::{OwnedRoomId, RoomId, UserId};

use crate::Rooms;

/// The rooms that a user is joined to.
pub async fn list_joined(
    rooms: &Rooms,
    user_id: &UserId,
) -> Result<Vec<OwnedRoomId>, StorageError> {
    rooms.db().memberships().list_room_ids(user_id, &[Membership::Join]).await
}

/// Whether a user is joined to a room. Nobody is in a room that this server does not know.
pub async fn is_joined(
    rooms: &Rooms,
    room_id: &RoomId,
    user_id: &UserId,
) -> Result<bool, StorageError> {
    rooms.engine().is_joined_to(room_id, user_id).await
}
