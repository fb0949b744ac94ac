//! The room that an alias names, and the aliases that a room has.

use myelin_events::visibility::HistoryVisibility;
use myelin_storage::StorageError;
use ruma::{OwnedRoomAliasId, OwnedRoomId, RoomAliasId, RoomId, UserId};

use crate::{
    Rooms,
    history::{RoomView, ViewError},
};

/// The reason why an alias names no room.
#[derive(Debug, thiserror::Error)]
pub enum FindAliasError {
    /// No room that this server knows has it.
    #[error("Room alias {0} not found")]
    NotFound(OwnedRoomAliasId),
    #[error("could not read the alias")]
    Storage(#[from] StorageError),
}

/// The room that an alias of this server names.
#[tracing::instrument(name = "rooms.alias.find", skip_all, fields(room.alias = %alias))]
pub async fn find(rooms: &Rooms, alias: &RoomAliasId) -> Result<OwnedRoomId, FindAliasError> {
    let not_found = || FindAliasError::NotFound(alias.to_owned());
    if alias.server_name() != rooms.server_name() {
        return Err(not_found());
    }
    let found = rooms.db().aliases().find(alias).await?;
    found.map(|alias| alias.room_id).ok_or_else(not_found)
}

/// The aliases of a room on this server, for its members and, if the room is world-readable, for everybody.
pub async fn list(
    rooms: &Rooms,
    user_id: &UserId,
    room_id: &RoomId,
) -> Result<Vec<OwnedRoomAliasId>, ViewError> {
    let view = RoomView::get(rooms.engine(), room_id, user_id).await?;
    // They are those of now, which is nothing for who has left.
    if !view.is_member() && view.sight.visibility() != HistoryVisibility::WorldReadable {
        return Err(ViewError::NotInRoom);
    }
    let aliases = rooms.db().aliases().list(view.head.room_nid).await?;
    Ok(aliases.into_iter().map(|alias| alias.alias).collect())
}
