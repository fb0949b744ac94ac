//! A room's state.

use std::sync::Arc;

use myelin_model::{Event, EventNid};
use ruma::{RoomId, UserId};

use super::{RoomView, Shown, ViewError};
use crate::Rooms;

/// The reason why a state event is not shown.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The room is not shown to the user.
    #[error(transparent)]
    View(#[from] ViewError),
    /// The state has no such event.
    #[error("State event not found")]
    NotFound,
}

impl From<myelin_storage::StorageError> for StateError {
    fn from(error: myelin_storage::StorageError) -> Self {
        Self::View(error.into())
    }
}

/// The whole state of a room: the current one, or for a user who has left the one that held then.
pub async fn state(
    rooms: &Rooms,
    user_id: &UserId,
    room_id: &RoomId,
) -> Result<Vec<Shown>, ViewError> {
    let view = RoomView::get(rooms.engine(), room_id, user_id).await?;
    let state = view.state(rooms.engine()).await?;
    let nids: Vec<EventNid> = state.values().copied().collect();
    let events: Vec<Arc<Event>> = rooms.db().events().list(&nids).await?;
    Ok(rooms.show_state(&view, events).await?)
}

/// One event of a room's state: of the current one, or for a user who has left of the one that held then.
pub async fn find_state(
    rooms: &Rooms,
    user_id: &UserId,
    room_id: &RoomId,
    event_type: &str,
    state_key: &str,
) -> Result<Shown, StateError> {
    let view = RoomView::get(rooms.engine(), room_id, user_id).await?;
    let key = rooms.db().state_keys().find(event_type, state_key).await?;
    let state = view.state(rooms.engine()).await?;
    let nid = key.and_then(|key| state.get(&key).copied()).ok_or(StateError::NotFound)?;
    let event = rooms.db().events().find(nid).await?.ok_or(StateError::NotFound)?;
    rooms.show_state(&view, vec![event]).await?.pop().ok_or(StateError::NotFound)
}
