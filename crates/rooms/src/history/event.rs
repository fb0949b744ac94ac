//! One event.

use myelin_storage::StorageError;
use ruma::{EventId, RoomId, UserId};

use super::{RoomView, Shown, ViewError};
use crate::Rooms;

/// The reason why an event is not shown.
#[derive(Debug, thiserror::Error)]
pub enum FindEventError {
    /// There is no such event in the room, or the user may not see it.
    #[error("Event not found.")]
    NotFound,
    #[error("could not read the event")]
    Storage(#[from] StorageError),
}

impl From<ViewError> for FindEventError {
    fn from(error: ViewError) -> Self {
        match error {
            ViewError::NotInRoom => Self::NotFound,
            ViewError::Storage(error) => Self::Storage(error),
        }
    }
}

/// An event that the user may see, of whatever room.
pub async fn find_event_anywhere(
    rooms: &Rooms,
    user_id: &UserId,
    event_id: &EventId,
) -> Result<Shown, FindEventError> {
    let event = rooms.db().events().find_by_id(event_id).await?.ok_or(FindEventError::NotFound)?;
    find_event(rooms, user_id, &event.room_id, event_id).await
}

/// An event of a room that the user may see.
pub async fn find_event(
    rooms: &Rooms,
    user_id: &UserId,
    room_id: &RoomId,
    event_id: &EventId,
) -> Result<Shown, FindEventError> {
    let mut view = RoomView::get_for_events(rooms.engine(), room_id, user_id).await?;
    let event = view.find_event(rooms.engine(), event_id).await?;
    let event = event.ok_or(FindEventError::NotFound)?;
    let (mut shown, _) = rooms.show_with(&mut view, vec![event], &[]).await?;
    rooms.aggregate(&mut view, &mut shown).await?;
    shown.pop().ok_or(FindEventError::NotFound)
}
