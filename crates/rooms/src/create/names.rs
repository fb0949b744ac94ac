//! The names of a room that is being made: its alias, and its place in the public list.

use myelin_model::{Actor, RoomNid};
use myelin_storage::{DirectoryList, StorageError};
use ruma::RoomAliasId;

use super::CreateRoomError;
use crate::Rooms;

/// The server's own list.
const OWN_LIST: DirectoryList<'_> = DirectoryList { appservice_id: "", network_id: "" };

/// The names that a new room is found by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Names<'a> {
    /// The alias, if one was asked for.
    pub(super) alias: Option<&'a RoomAliasId>,
    /// The server lists it in public.
    pub(super) is_listed: bool,
}

impl Names<'_> {
    fn are_none(self) -> bool {
        self.alias.is_none() && !self.is_listed
    }

    /// Take the names for a room that is not there yet, and so is not found by them yet. Somebody may have been quicker since the alias
    /// was checked. Should this node die before it makes the room, the alias is free again after a while, and what stands in the list
    /// has no members, so that it is never shown.
    pub(super) async fn claim(
        self,
        rooms: &Rooms,
        actor: &Actor,
        room_nid: RoomNid,
    ) -> Result<(), CreateRoomError> {
        if self.are_none() {
            return Ok(());
        }
        let mut tx = rooms.db().begin().await?;
        if let Some(alias) = self.alias
            && !tx.aliases().add(alias, room_nid, &actor.user_id, rooms.now_ms()).await?
        {
            return Err(CreateRoomError::AliasTaken);
        }
        if self.is_listed {
            tx.directory().add(room_nid, OWN_LIST).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Give the names back: the room is not made.
    pub(super) async fn release(self, rooms: &Rooms, room_nid: RoomNid) {
        if let Err(error) = self.try_release(rooms, room_nid).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the names of a room that was not made could not be given back"
            );
        }
    }

    async fn try_release(self, rooms: &Rooms, room_nid: RoomNid) -> Result<(), StorageError> {
        if self.are_none() {
            return Ok(());
        }
        let mut tx = rooms.db().begin().await?;
        if let Some(alias) = self.alias {
            tx.aliases().release(alias, room_nid).await?;
        }
        tx.directory().delete(room_nid, OWN_LIST).await?;
        tx.commit().await?;
        Ok(())
    }
}
