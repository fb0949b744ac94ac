//! The events around an event.

use std::sync::Arc;

use myelin_model::{Event, EventNid, StreamPos};
use myelin_storage::{Page, StateMap, StorageError};
use ruma::{EventId, RoomId, UserId};

use super::{HistoryFilter, Place, RoomView, Shown, ViewError};
use crate::Rooms;

/// The number of events around the event at most, whatever is asked for.
const CONTEXT_EVENTS_MAX: u64 = 100;

/// The reason why no event is shown.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    /// The room is not shown to the user.
    #[error(transparent)]
    View(#[from] ViewError),
    /// There is no such event in the room.
    #[error("Event not found.")]
    NotFound,
    /// The user may not see the event.
    #[error("You don't have permission to access that event.")]
    Forbidden,
}

impl From<StorageError> for ContextError {
    fn from(error: StorageError) -> Self {
        Self::View(error.into())
    }
}

/// An event and what stands around it.
#[derive(Debug)]
pub struct Context {
    /// The place before the first of the events.
    pub start: Place,
    /// The place after the last of the events.
    pub end: Place,
    /// The events before it, newest first.
    pub events_before: Vec<Shown>,
    pub event: Shown,
    /// The events after it, oldest first.
    pub events_after: Vec<Shown>,
    /// The state after the last of the events.
    pub state: Vec<Shown>,
}

/// An event, `limit` events around it, and the state after them.
pub async fn context(
    rooms: &Rooms,
    user_id: &UserId,
    room_id: &RoomId,
    event_id: &EventId,
    limit: u64,
    filter: &HistoryFilter,
) -> Result<Context, ContextError> {
    let mut view = RoomView::get_for_events(rooms.engine(), room_id, user_id).await?;
    let event = rooms.db().events().find_by_id(event_id).await?.ok_or(ContextError::NotFound)?;
    let (true, Some(pos)) = (event.room_nid == view.head.room_nid, event.pos) else {
        return Err(ContextError::NotFound);
    };
    if view.see(rooms.engine(), vec![Arc::clone(&event)]).await?.is_empty() {
        return Err(ContextError::Forbidden);
    }
    let limit = limit.min(CONTEXT_EVENTS_MAX);
    let (before, start) = read(rooms, &mut view, filter, Side::Before(pos), limit / 2).await?;
    let (after, end) = read(rooms, &mut view, filter, Side::After(pos), limit - limit / 2).await?;

    let last = after.last().unwrap_or(&event);
    let state = rooms.state_after(&view, last).await?;
    let before_len = before.len();
    let mut events = before;
    events.push(event);
    events.extend(after);
    let wanted: Vec<EventNid> = if filter.events.lazy_load_members {
        let senders = events.iter().map(|event| event.sender.clone());
        let mut wanted = rooms.member_nids(&state, senders).await?;
        wanted.extend(without_members(rooms, &state).await?);
        wanted
    } else {
        state.values().copied().collect()
    };
    let (mut shown, found) = rooms.show_with(&mut view, events, &wanted).await?;
    rooms.aggregate(&mut view, &mut shown).await?;
    let events_after = shown.split_off(before_len + 1);
    let event = shown.pop().ok_or(ContextError::NotFound)?;
    let state: Vec<Arc<Event>> = wanted
        .iter()
        .filter_map(|nid| found.get(nid))
        .filter(|event| filter.wants_state(event))
        .cloned()
        .collect();
    let state = rooms.show_state(&view, state).await?;
    Ok(Context { start, end, events_before: shown, event, events_after, state })
}

#[derive(Debug, Clone, Copy)]
enum Side {
    Before(StreamPos),
    After(StreamPos),
}

/// The events on one side that the user may see, and where they end.
async fn read(
    rooms: &Rooms,
    view: &mut RoomView,
    filter: &HistoryFilter,
    side: Side,
    limit: u64,
) -> Result<(Vec<Arc<Event>>, Place), StorageError> {
    let (after, upto, here) = match side {
        Side::Before(pos) => (Place::START.0, Place::before(pos).0, Place::before(pos)),
        Side::After(pos) => (pos, view.upto(), Place(pos)),
    };
    if limit == 0 {
        return Ok((vec![], here));
    }
    let backward = matches!(side, Side::Before(_));
    let page = Page {
        room_nid: view.head.room_nid,
        after,
        upto,
        backward,
        limit: usize::try_from(limit).unwrap_or(usize::MAX),
        filter: &filter.to_page_filter(),
    };
    let events = rooms.db().history().list(&page).await?.events;
    let end = events.last().and_then(|event| event.pos);
    let end = end.map_or(here, |pos| if backward { Place::before(pos) } else { Place(pos) });
    Ok((view.see(rooms.engine(), events).await?, end))
}

/// The state events that are no member events.
async fn without_members(rooms: &Rooms, state: &StateMap) -> Result<Vec<EventNid>, StorageError> {
    let nids: Vec<_> = state.keys().copied().collect();
    let keys = rooms.db().state_keys().list(&nids).await?;
    let is_member = |key| keys.get(key).is_some_and(|key| &*key.event_type == "m.room.member");
    Ok(state.iter().filter(|(key, _)| !is_member(*key)).map(|(_, nid)| *nid).collect())
}
