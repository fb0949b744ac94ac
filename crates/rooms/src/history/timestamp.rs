//! The event nearest to a moment.

use std::sync::Arc;

use myelin_model::Event;
use myelin_storage::StorageError;
use ruma::{RoomId, UserId};

use super::{RoomView, ViewError};
use crate::Rooms;

/// The reason why no event is named.
#[derive(Debug, thiserror::Error)]
pub enum TimestampError {
    /// The room is not shown to the user.
    #[error(transparent)]
    View(#[from] ViewError),
    /// There is no event in that direction, or the user may not see it.
    #[error("Unable to find event from {ts} in direction {direction}")]
    NotFound {
        /// The time that was asked for, in milliseconds since the epoch.
        ts: u64,
        /// The direction that was asked for: `f` or `b`.
        direction: char,
    },
}

impl From<StorageError> for TimestampError {
    fn from(error: StorageError) -> Self {
        Self::View(error.into())
    }
}

/// The event of a room that was sent nearest to `ts` (milliseconds since the epoch): at or after it if `forward`, else at
/// or before it.
pub async fn find_by_timestamp(
    rooms: &Rooms,
    user_id: &UserId,
    room_id: &RoomId,
    ts: u64,
    forward: bool,
) -> Result<Arc<Event>, TimestampError> {
    let mut view = RoomView::get(rooms.engine(), room_id, user_id).await?;
    let found = rooms.db().events().find_by_timestamp(view.head.room_nid, ts, forward).await?;
    let found = found.filter(|event| event.pos <= Some(view.upto()));
    let seen = view.see(rooms.engine(), found.into_iter().collect()).await?;
    seen.into_iter()
        .next()
        .ok_or(TimestampError::NotFound { ts, direction: if forward { 'f' } else { 'b' } })
}
