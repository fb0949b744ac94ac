//! The event nearest to a moment.

use std::sync::Arc;

use myelin_model::{Event, StreamPos};
use myelin_storage::StorageError;
use ruma::{RoomId, UserId};

use super::{RoomView, ViewError};
use crate::Rooms;

/// The numbers of events that are looked at one after the other until one may be seen: mostly it is the first.
const PAGES_EVENTS: [usize; 6] = [1, 100, 1_000, 1_000, 1_000, 1_000];

/// The reason why no event is named.
#[derive(Debug, thiserror::Error)]
pub enum TimestampError {
    /// The room is not shown to the user.
    #[error(transparent)]
    View(#[from] ViewError),
    /// There is no event in that direction that the user may see, or none for a long way.
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

/// The event of a room that was sent nearest to `ts` (milliseconds since the epoch) among those that the user may see: at or after it
/// if `forward`, else at or before it.
pub async fn find_by_timestamp(
    rooms: &Rooms,
    user_id: &UserId,
    room_id: &RoomId,
    ts: u64,
    forward: bool,
) -> Result<Arc<Event>, TimestampError> {
    let mut view = RoomView::get(rooms.engine(), room_id, user_id).await?;
    let room_nid = view.head.room_nid;
    let mut place =
        (i64::try_from(ts).unwrap_or(i64::MAX), if forward { i64::MIN } else { i64::MAX });
    for limit in PAGES_EVENTS {
        let reads = rooms.db().events();
        let mut events = reads.list_by_timestamp(room_nid, place, forward, limit).await?;
        let Some(last) = events.last() else { break };
        let last_pos = last.pos.unwrap_or(StreamPos::ZERO).0;
        place = (last.origin_server_ts, last_pos);
        events.retain(|event| event.pos <= Some(view.upto()));
        if let Some(event) = view.see(rooms.engine(), events).await?.into_iter().next() {
            return Ok(event);
        }
    }
    Err(TimestampError::NotFound { ts, direction: if forward { 'f' } else { 'b' } })
}
