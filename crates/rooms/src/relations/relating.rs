//! The events that relate to one (client-server API, "Retrieving relationships").

use myelin_events::pdu::content_of;
use myelin_model::{Event, StreamPos};
use myelin_storage::{RelationsPage as StoredPage, StorageError};
use ruma::{EventId, RoomId, UserId};
use serde::Deserialize;

use crate::{
    Rooms,
    history::{Place, RoomView, Shown, ViewError},
};

/// The number of events that a page has at most, whatever is asked for.
const PAGE_EVENTS_MAX: u64 = 1_000;

/// The number of relations that may lead from an event to the one asked for, when `recurse` is given.
pub const DEPTH_MAX: i32 = 3;

/// The page of related events that is asked for.
#[derive(Debug, Clone, Default)]
pub struct RelatingQuery {
    /// The only kind of relation that is wanted. `None`: any.
    pub rel_type: Option<String>,
    /// The only type of event that is wanted. `None`: any.
    pub event_type: Option<String>,
    /// The place to begin at. `None`: the end of the room that the direction leads away from.
    pub from: Option<Place>,
    /// The place to stop at, at the latest. `None`: the other end.
    pub to: Option<Place>,
    /// The oldest events come first. Otherwise the newest do.
    pub forward: bool,
    /// The number of events at most. At least one is given, and at most `PAGE_EVENTS_MAX`.
    pub limit: u64,
    /// Events that relate to the event through others are wanted too, up to `DEPTH_MAX` relations away.
    pub recurse: bool,
}

/// The reason why no page is shown.
#[derive(Debug, thiserror::Error)]
pub enum RelationsError {
    /// There is no such event in the room, or the user may not see it.
    #[error("Unknown parent event.")]
    NotFound,
    #[error("could not read relations")]
    Storage(#[from] StorageError),
}

impl From<ViewError> for RelationsError {
    fn from(error: ViewError) -> Self {
        match error {
            ViewError::NotInRoom => Self::NotFound,
            ViewError::Storage(error) => Self::Storage(error),
        }
    }
}

/// A page of events.
#[derive(Debug)]
pub struct RelationsPage {
    pub chunk: Vec<Shown>,
    /// The place where the next page begins. `None`: there is nothing more.
    pub next: Option<Place>,
    /// The place where this page begins, if the request named one.
    pub prev: Option<Place>,
    /// The number of relations that may lead from an event to the parent. `None` if `recurse` was not given.
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
    let mut view = RoomView::get_for_events(rooms.engine(), room_id, user_id).await?;
    let parent = view.find_event(rooms.engine(), event_id).await?;
    let parent = parent.ok_or(RelationsError::NotFound)?;
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
    let mut events = view.see(rooms.engine(), events).await?;
    if parent.redacted_by.is_some() {
        // They would tell what the redaction took away.
        events.retain(|event| !edits(event, event_id));
    }
    let (mut chunk, _) = rooms.show_with(&mut view, events, &[]).await?;
    rooms.aggregate(&mut view, &mut chunk).await?;
    Ok(RelationsPage { chunk, next, prev: query.from, depth: query.recurse.then_some(DEPTH_MAX) })
}

/// Whether an event has new content for another.
fn edits(event: &Event, parent_id: &EventId) -> bool {
    #[derive(Deserialize)]
    struct Content {
        #[serde(rename = "m.relates_to")]
        relates_to: Relation,
    }
    #[derive(Deserialize)]
    struct Relation {
        rel_type: String,
        event_id: String,
    }
    let content = content_of(&event.json).and_then(|content| serde_json::from_str(content).ok());
    content.is_some_and(|Content { relates_to }: Content| {
        relates_to.rel_type == "m.replace" && relates_to.event_id == parent_id.as_str()
    })
}
