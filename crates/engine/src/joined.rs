//! Whether a user is in a room, from the room's head.

use myelin_model::Membership;
use myelin_storage::{RoomHead, StorageError};
use ruma::{RoomId, UserId};

use crate::Engine;

impl Engine {
    /// Whether a user is in the room. It takes at most two queries, none if the room is warm.
    pub async fn is_joined(&self, head: &RoomHead, user_id: &UserId) -> Result<bool, StorageError> {
        let Some(key) = self.db().state_keys().find("m.room.member", user_id.as_str()).await?
        else {
            return Ok(false);
        };
        let Some(nid) = head.state.get(&key) else { return Ok(false) };
        let event = self.db().events().find(*nid).await?;
        Ok(event.is_some_and(|event| event.membership == Some(Membership::Join)))
    }

    /// Whether a user is joined to a room, by its ID. Nobody is in a room that this server does not know.
    pub async fn is_joined_to(
        &self,
        room_id: &RoomId,
        user_id: &UserId,
    ) -> Result<bool, StorageError> {
        match self.db().heads().find(room_id).await? {
            Some(head) => self.is_joined(&head, user_id).await,
            None => Ok(false),
        }
    }
}
