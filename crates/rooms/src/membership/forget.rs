//! Forgetting a room: its history is gone for the user until it joins again.

use myelin_model::{Actor, Membership};
use myelin_storage::{Change, StorageError};
use ruma::{OwnedRoomId, OwnedUserId, RoomId};

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
    let Some(room_nid) = rooms.db().heads().find_nid(room_id).await? else { return Ok(()) };
    let mut tx = rooms.db().begin().await?;
    match tx.memberships().set_forgotten(&actor.user_id, room_nid).await? {
        Some(Membership::Leave | Membership::Ban) => {
            tx.publish(Change::Forgotten { user_id: actor.user_id.clone(), room_nid });
            tx.commit().await?;
            Ok(())
        }
        Some(Membership::Join | Membership::Invite | Membership::Knock) => {
            Err(ForgetError::StillIn {
                user_id: actor.user_id.clone(),
                room_id: room_id.to_owned(),
            })
        }
        None => Ok(()),
    }
}
