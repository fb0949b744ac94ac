//! Forgetting a room: its history is gone for the user until it joins again.

use myelin_model::{Actor, Membership};
use myelin_storage::{Change, StorageError};
use ruma::{OwnedRoomId, OwnedUserId, RoomId, UserId};

use crate::Rooms;

/// The reason why a room was not forgotten.
#[derive(Debug, thiserror::Error)]
pub enum ForgetError {
    /// The user is in the room, invited or asking to be let in.
    #[error("User {user_id} in room {room_id}")]
    StillIn { user_id: OwnedUserId, room_id: OwnedRoomId },
    #[error("could not read or write the membership")]
    Storage(#[from] StorageError),
}

/// Forget a room. A room that the user never was in is forgotten already.
pub async fn forget(rooms: &Rooms, actor: &Actor, room_id: &RoomId) -> Result<(), ForgetError> {
    forget_as(rooms, &actor.user_id, room_id).await
}

/// Have a user forget a room that it has left. If it is back by now, nothing happens.
pub(crate) async fn forget_left(
    rooms: &Rooms,
    user_id: &UserId,
    room_id: &RoomId,
) -> Result<(), StorageError> {
    match forget_as(rooms, user_id, room_id).await {
        Ok(()) | Err(ForgetError::StillIn { .. }) => Ok(()),
        Err(ForgetError::Storage(error)) => Err(error),
    }
}

async fn forget_as(rooms: &Rooms, user_id: &UserId, room_id: &RoomId) -> Result<(), ForgetError> {
    let Some(room_nid) = rooms.db().heads().find_nid(room_id).await? else { return Ok(()) };
    let mut tx = rooms.db().begin().await?;
    match tx.memberships().set_forgotten(user_id, room_nid).await? {
        Some(Membership::Leave | Membership::Ban) => {
            tx.publish(Change::Forgotten { user_id: user_id.to_owned(), room_nid });
            tx.commit().await?;
            Ok(())
        }
        Some(Membership::Join | Membership::Invite | Membership::Knock) => {
            Err(ForgetError::StillIn { user_id: user_id.to_owned(), room_id: room_id.to_owned() })
        }
        None => Ok(()),
    }
}
