//! The events that relate to one (client-server API, "Retrieving relationships").

use myelin_model::StreamPos;
use myelin_storage::{RelationsPage as StoredPage, StorageError};
use ruma::{EventId, RoomId, UserId};

use crate::{
    Rooms,
    history::{Place, RoomView, Shown},
};

/// How many events a page has at most, whatever is asked for.
const PAGE_EVENTS_MAX: u64 = 1_000;

/// How many relations may lead from an event to the one asked for, when it is asked for more than the first.
pub const DEPTH_MAX: i32 = 3;

/// What is asked for.
#[derive(Debug, Clone, Default)]
pub struct RelatingQuery {
    /// Only this kind of relation.
    pub rel_type: Option<String>,
    /// Only events of this type.
    pub event_type: Option<String>,
    /// Where to begin.
    pub from: Option<Place>,
    /// Where to stop at the latest.
    pub to: Option<Place>,
    /// Oldest first.
    pub forward: bool,
    /// At most so many events.
    pub limit: u64,
    /// What relates to what relates to it, too.
    pub recurse: bool,
}

/// Why nothing is shown.
#[derive(Debug, thiserror::Error)]
pub enum RelationsError {
    /// There is no such event in the room, or the user may not see it.
    #[error("Unknown parent event.")]
    NotFound,
    /// The database failed.
    #[error("could not read relations")]
    Storage(#[from] StorageError),
}

/// A page of events.
#[derive(Debug)]
pub struct RelationsPage {
    /// The events.
    pub chunk: Vec<Shown>,
    /// Where the next page begins. `None`: there is nothing more.
    pub next: Option<Place>,
    /// Where this page begins, if it was said.
    pub prev: Option<Place>,
    /// How many relations led from an event to the parent at most; if it was asked for.
    pub depth: Option<i32>,
}

/// A page of the events that relate to an event.
pub async fn relating(
    rooms: &Rooms,
    user_id: &UserId,
    room_id: &RoomId,
    event_id: &EventId,
    query: &RelatingQuery,
) -> Result<RelationsPage, RelationsError> {
    let view =
        RoomView::find(rooms.engine(), room_id, user_id).await?.ok_or(RelationsError::NotFound)?;
    let parent = rooms.db().events().find_by_id(event_id).await?.ok_or(RelationsError::NotFound)?;
    if parent.room_nid != view.head.room_nid || !view.sight.may_see(&parent) {
        return Err(RelationsError::NotFound);
    }
    let limit = usize::try_from(query.limit.clamp(1, PAGE_EVENTS_MAX)).unwrap_or(usize::MAX);
    let (after, upto) = if query.forward {
        (query.from.unwrap_or(Place::START).0, query.to.map_or(StreamPos(i64::MAX), |to| to.0))
    } else {
        (query.to.unwrap_or(Place::START).0, query.from.map_or(StreamPos(i64::MAX), |from| from.0))
    };
    let nids = rooms
        .db()
        .relations()
        .list(&StoredPage {
            room_nid: view.head.room_nid,
            parent_id: event_id,
            rel_type: query.rel_type.as_deref(),
            event_type: query.event_type.as_deref(),
            depth: if query.recurse { DEPTH_MAX } else { 1 },
            after,
            upto,
            backward: !query.forward,
            limit: limit.saturating_add(1),
        })
        .await?;
    let has_more = nids.len() > limit;
    let mut events = rooms.db().events().list(&nids).await?;
    events.truncate(limit);
    let last = events.last().and_then(|event| event.pos).filter(|_| has_more);
    let next = last.map(|pos| if query.forward { Place(pos) } else { Place::before(pos) });
    events.retain(|event| view.sight.may_see(event));
    let (mut chunk, _) = rooms.show_with(&view, events, &[]).await?;
    rooms.aggregate(&view, &mut chunk).await?;
    Ok(RelationsPage { chunk, next, prev: query.from, depth: query.recurse.then_some(DEPTH_MAX) })
}
