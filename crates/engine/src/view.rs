//! A room as one user may read it.

use std::sync::Arc;

use myelin_events::{RoomVersion, sight::Sight, visibility::HistoryVisibility};
use myelin_model::{Event, Membership, StreamPos};
use myelin_storage::{RoomHead, StateKey, StateMap, StorageError};
use ruma::{EventId, RoomId, UserId};

use crate::{
    Engine,
    sights::{get_sight, look_up_in},
};

/// The reason why a room is not shown to a user.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    /// The user is not in the room, was not, and the room is not open to everybody. Rooms that do not exist look the same.
    #[error("You aren't a member of the room.")]
    NotInRoom,
    #[error("could not read the room")]
    Storage(#[from] StorageError),
}

/// The way in which a user comes to see a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    /// The user is in the room.
    Member,
    /// The user was in the room, and has not forgotten it: it is shown as of the event that ended it.
    Departed(StreamPos),
    /// The room is world-readable.
    Peeking,
    /// The room was world-readable. The events of that time are shown, and nothing else.
    Closed,
}

/// A room and what one user may see of it: there is no view of a room that is not shown to the user.
#[derive(Debug, Clone)]
pub struct RoomView {
    /// The room as it stands.
    pub head: Arc<RoomHead>,
    pub version: RoomVersion,
    /// The user's view of events.
    pub sight: Sight,
    access: Access,
}

impl RoomView {
    /// Look at a room. Members may, who were members and did not forget it, and everybody if it is world-readable.
    pub async fn get(
        engine: &Engine,
        room_id: &RoomId,
        user_id: &UserId,
    ) -> Result<Self, ViewError> {
        let view = Self::get_for_events(engine, room_id, user_id).await?;
        if view.access == Access::Closed { Err(ViewError::NotInRoom) } else { Ok(view) }
    }

    /// Look at events of a room, whose own time decides: everybody may also if the room was world-readable only in the past. What is read
    /// beside events, such as the state of now, is for [`RoomView::get`].
    pub async fn get_for_events(
        engine: &Engine,
        room_id: &RoomId,
        user_id: &UserId,
    ) -> Result<Self, ViewError> {
        let head = engine.db().heads().find(room_id).await?.ok_or(ViewError::NotInRoom)?;
        let version = engine.version_of(&head)?;
        let ignored = engine.ignored_users(user_id).await?;
        let mut sight = get_sight(engine.db(), &head, user_id, ignored).await?;
        let is_gone = matches!(sight.membership(), Some(Membership::Leave | Membership::Ban));
        if is_gone
            && sight.joined_upto().is_some()
            && engine.db().memberships().is_forgotten(head.room_nid, user_id).await?
        {
            sight.forget();
        }
        let is_world_readable = sight.visibility() == HistoryVisibility::WorldReadable;
        let access = match (sight.membership(), sight.joined_upto()) {
            (Some(Membership::Join), _) => Access::Member,
            (Some(Membership::Leave | Membership::Ban), Some(upto)) => Access::Departed(upto),
            _ if is_world_readable => Access::Peeking,
            _ if sight.was_world_readable() => Access::Closed,
            _ => return Err(ViewError::NotInRoom),
        };
        Ok(Self { head, version, sight, access })
    }

    /// The events among these that the user may see. It takes no query, unless they are of a time when the room had branches, or of
    /// before this server was in it: then at most three.
    pub async fn see(
        &mut self,
        engine: &Engine,
        mut events: Vec<Arc<Event>>,
    ) -> Result<Vec<Arc<Event>>, StorageError> {
        self.look_up(engine, &events).await?;
        events.retain(|event| self.sight.may_see(event));
        Ok(events)
    }

    /// Have the user's view know what it must know of these events.
    pub async fn look_up(
        &mut self,
        engine: &Engine,
        events: &[Arc<Event>],
    ) -> Result<(), StorageError> {
        look_up_in(engine.db(), &mut self.sight, events).await
    }

    /// Whether history visibility lets the user see what stands at an event: also where the event is of a user who is ignored, and not where
    /// it is seen for being about the user alone. It takes what [`RoomView::see`] takes.
    pub async fn is_in_sight(
        &mut self,
        engine: &Engine,
        event: &Arc<Event>,
    ) -> Result<bool, StorageError> {
        self.look_up(engine, std::slice::from_ref(event)).await?;
        Ok(event.pos.is_some_and(|pos| self.sight.may_see_place(event.nid, pos)))
    }

    /// An event of the room, if the user may see it. It takes at most one query, none if it is in memory, and what [`RoomView::see`]
    /// takes. None that came after the look is found: the room may be closed meanwhile.
    pub async fn find_event(
        &mut self,
        engine: &Engine,
        event_id: &EventId,
    ) -> Result<Option<Arc<Event>>, StorageError> {
        let event = engine.db().events().find_by_id(event_id).await?;
        let event = event.filter(|event| {
            event.room_nid == self.head.room_nid
                && event.pos.is_none_or(|pos| pos <= self.head.last_pos)
        });
        Ok(self.see(engine, event.into_iter().collect()).await?.pop())
    }

    /// Whether the user is in the room now.
    pub fn is_member(&self) -> bool {
        self.access == Access::Member
    }

    /// Whether the user may read what stands beside events, such as the state of now.
    pub fn is_open(&self) -> bool {
        self.access != Access::Closed
    }

    /// The position of the last event of the room that the user may ask for.
    pub fn upto(&self) -> StreamPos {
        match self.access {
            Access::Departed(upto) => upto,
            // What comes after the look may be more than the user may see: the room may be closed meanwhile.
            Access::Member | Access::Peeking | Access::Closed => self.head.last_pos,
        }
    }

    /// The room's state as the user may know it: the current one, or the one that held when the user left, with the user's own
    /// membership of now. It takes at most three queries, none for members.
    pub async fn state(&self, engine: &Engine) -> Result<StateMap, StorageError> {
        let upto = match self.access {
            Access::Departed(upto) => upto,
            Access::Member | Access::Peeking => return Ok(self.head.state.clone()),
            Access::Closed => return Ok(StateMap::new()),
        };
        let mut state = engine.state_at(&self.head, upto).await?;
        let own = StateKey::new("m.room.member", self.sight.user_id().as_str());
        let keys = engine.db().state_keys().find_many(std::slice::from_ref(&own)).await?;
        if let Some(key) = keys.get(&own)
            && let Some(event) = self.head.state.get(key)
        {
            state.insert(*key, *event);
        }
        Ok(state)
    }
}

impl Engine {
    /// The current state that a room had at a position. It takes no query if that is the current one, else two, and two more where the
    /// room had branches.
    pub async fn state_at(
        &self,
        head: &RoomHead,
        pos: StreamPos,
    ) -> Result<StateMap, StorageError> {
        if pos >= head.last_pos {
            return Ok(head.state.clone());
        }
        self.db().history().get_state_at(head.room_nid, pos).await
    }
}
