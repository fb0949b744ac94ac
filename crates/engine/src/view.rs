//! A room as one user may read it.

use std::sync::Arc;

use myelin_events::{RoomVersion, sight::Sight, visibility::HistoryVisibility};
use myelin_model::{Membership, StreamPos};
use myelin_storage::{RoomHead, StateMap, StorageError};
use ruma::{RoomId, UserId};

use crate::Engine;

/// Why a room is not shown to a user.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    /// The user is not in the room, was not, and the room is not open to everybody. Rooms that do not exist look the same.
    #[error("You aren't a member of the room.")]
    NotInRoom,
    /// The database failed.
    #[error("could not read the room")]
    Storage(#[from] StorageError),
}

/// How a user comes to see a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    /// Is in the room.
    Member,
    /// Was in the room: sees it as of the event that ended it.
    Departed(StreamPos),
    /// The room is world-readable.
    Peeking,
    /// Does not see the room, single events perhaps.
    None,
}

/// A room and what one user may see of it.
#[derive(Debug, Clone)]
pub struct RoomView {
    /// The room as it stands.
    pub head: Arc<RoomHead>,
    /// Its version.
    pub version: RoomVersion,
    /// Which events the user may see.
    pub sight: Sight,
    access: Access,
}

impl RoomView {
    /// Look at a room, whether or not the user may see it. `None` if this server does not know the room.
    pub async fn find(
        engine: &Engine,
        room_id: &RoomId,
        user_id: &UserId,
    ) -> Result<Option<Self>, StorageError> {
        let Some(head) = engine.db().heads().find(room_id).await? else { return Ok(None) };
        Self::of_head(engine, head, user_id).await.map(Some)
    }

    /// Look at a room whose head is known.
    pub async fn of_head(
        engine: &Engine,
        head: Arc<RoomHead>,
        user_id: &UserId,
    ) -> Result<Self, StorageError> {
        let version = engine.version_of(&head)?;
        let history = engine.db().visibility_histories().get(&head, user_id).await?;
        let ignored = engine.ignored_users(user_id).await?;
        let erased = engine.db().users().list_erased().await?;
        let sight = Sight::new(
            user_id,
            history.visibilities.iter().map(|(pos, content)| (*pos, &**content)),
            history.memberships.iter().copied(),
            ignored,
            erased,
        );
        let mut access = match (sight.membership(), sight.joined_upto()) {
            (Some(Membership::Join), _) => Access::Member,
            (Some(Membership::Leave | Membership::Ban), Some(upto)) => Access::Departed(upto),
            _ => Access::None,
        };
        if matches!(access, Access::Departed(_))
            && engine.db().memberships().is_forgotten(head.room_nid, user_id).await?
        {
            access = Access::None;
        }
        if access == Access::None && sight.visibility() == HistoryVisibility::WorldReadable {
            access = Access::Peeking;
        }
        Ok(Self { head, version, sight, access })
    }

    /// Look at a room that the user must be allowed to see: members, who were members, and everybody if the room is
    /// world-readable.
    pub async fn get(
        engine: &Engine,
        room_id: &RoomId,
        user_id: &UserId,
    ) -> Result<Self, ViewError> {
        let view = Self::find(engine, room_id, user_id).await?.ok_or(ViewError::NotInRoom)?;
        match view.access {
            Access::None => Err(ViewError::NotInRoom),
            Access::Member | Access::Departed(_) | Access::Peeking => Ok(view),
        }
    }

    /// Whether the user is in the room now.
    pub fn is_member(&self) -> bool {
        self.access == Access::Member
    }

    /// The position of the last event of the room that the user may ask for.
    pub fn upto(&self) -> StreamPos {
        match self.access {
            Access::Departed(upto) => upto,
            Access::Member | Access::Peeking | Access::None => StreamPos(i64::MAX),
        }
    }

    /// The room's state as the user may know it: the current one, or the one that held when the user left. At most two
    /// queries, none for members.
    pub async fn state(&self, engine: &Engine) -> Result<StateMap, StorageError> {
        match self.access {
            Access::Departed(upto) => engine.state_at(&self.head, upto).await,
            Access::Member | Access::Peeking | Access::None => Ok(self.head.state.clone()),
        }
    }
}

impl Engine {
    /// The state of a room after its last event at or before a position. No query if that is the current state, else two.
    pub async fn state_at(
        &self,
        head: &RoomHead,
        pos: StreamPos,
    ) -> Result<StateMap, StorageError> {
        if pos >= head.last_pos {
            return Ok(head.state.clone());
        }
        match self.db().history().find_state_nid_at(head.room_nid, pos).await? {
            Some(nid) if Some(nid) == head.chain.state_nid() => Ok(head.state.clone()),
            Some(nid) => self.db().state(nid).await,
            None => Ok(StateMap::new()),
        }
    }
}
