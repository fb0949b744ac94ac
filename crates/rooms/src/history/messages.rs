//! Pages of a room's history.

use std::{collections::HashMap, sync::Arc};

use myelin_model::{Event, EventNid, StreamPos};
use myelin_storage::{HistoryPage, Page, StateKey, StateMap, StorageError};
use ruma::{OwnedUserId, RoomId, UserId};

use super::{HistoryFilter, Place, RoomView, Shown, ViewError};
use crate::Rooms;

/// The number of events that a page has at most, whatever is asked for.
pub(super) const PAGE_EVENTS_MAX: u64 = 1_000;

/// The page of history that is asked for.
#[derive(Debug, Clone, Default)]
pub struct MessagesQuery {
    /// The place to begin at. `None`: the end that the direction leads away from.
    pub from: Option<Place>,
    /// The place to stop at, at the latest. `None`: the end of the room's history.
    pub to: Option<Place>,
    /// Towards the past, newest first.
    pub backward: bool,
    /// The number of events at most. At least one is given, and at most `PAGE_EVENTS_MAX`. That of the filter counts for
    /// nothing beside it, as in Synapse.
    pub limit: u64,
    /// The events that are wanted.
    pub filter: HistoryFilter,
}

/// A page of history.
#[derive(Debug)]
pub struct Messages {
    /// The place where the page begins.
    pub start: Place,
    /// The place where the next page begins. `None`: there is nothing more.
    pub end: Option<Place>,
    /// The events, in the direction asked for.
    pub chunk: Vec<Shown>,
    /// Member events of those who sent them, if they are to be loaded lazily.
    pub state: Vec<Shown>,
}

/// A page of a room's history, as far as the user may see it. It takes at most four queries, and two more if others
/// relate to its events.
pub async fn messages(
    rooms: &Rooms,
    user_id: &UserId,
    room_id: &RoomId,
    query: &MessagesQuery,
) -> Result<Messages, ViewError> {
    let mut view = RoomView::get(rooms.engine(), room_id, user_id).await?;
    let newest = Place(rooms.db().log().applied().max(view.head.last_pos));
    let start = match query.from {
        Some(from) => from,
        None if query.backward => newest,
        None => Place::START,
    };
    if !query.filter.events.allows_room(room_id) {
        return Ok(Messages { start, end: None, chunk: vec![], state: vec![] });
    }
    let limit = usize::try_from(query.limit.clamp(1, PAGE_EVENTS_MAX)).unwrap_or(usize::MAX);
    let (after, upto) = if query.backward {
        (query.to.unwrap_or(Place::START).0, start.0)
    } else {
        (start.0, query.to.map_or(StreamPos(i64::MAX), |to| to.0))
    };
    let page = Page {
        room_nid: view.head.room_nid,
        after,
        upto: upto.min(view.upto()),
        backward: query.backward,
        limit,
        filter: &query.filter.to_page_filter(),
    };
    let HistoryPage { events, has_relations, last, is_full } =
        rooms.db().history().list(&page).await?;
    let is_last_page = if query.backward { !is_full } else { last.is_none() };
    let end = last
        .filter(|_| !is_last_page)
        .map(|pos| if query.backward { Place::before(pos) } else { Place(pos) });
    let visible = view.see(rooms.engine(), events).await?;
    let (mut chunk, state) =
        with_members(rooms, &mut view, visible, query.filter.events.lazy_load_members).await?;
    if has_relations {
        rooms.aggregate(&mut view, &mut chunk).await?;
    }
    Ok(Messages { start, end, chunk, state })
}

/// Make events ready to be shown, and get the member events of their senders if these are wanted: as of the first event.
async fn with_members(
    rooms: &Rooms,
    view: &mut RoomView,
    events: Vec<Arc<Event>>,
    lazy_members: bool,
) -> Result<(Vec<Shown>, Vec<Shown>), StorageError> {
    let members = match events.first().filter(|_| lazy_members) {
        Some(first) => {
            let state = rooms.state_after(view, first).await?;
            rooms.member_nids(&state, events.iter().map(|event| event.sender.clone())).await?
        }
        None => Vec::new(),
    };
    let (chunk, found) = rooms.show_with(view, events, &members).await?;
    let members = members.iter().filter_map(|nid| found.get(nid).cloned()).collect();
    Ok((chunk, rooms.show_state(view, members).await?))
}

impl Rooms {
    /// The room's state after an event. It takes at most one query, none if that is the current state.
    pub(super) async fn state_after(
        &self,
        view: &RoomView,
        event: &Event,
    ) -> Result<StateMap, StorageError> {
        match event.state_after {
            Some(nid) if Some(nid) != view.head.chain.state_nid() => {
                self.db().states().get(nid).await
            }
            Some(_) => Ok(view.head.state.clone()),
            None => Ok(StateMap::new()),
        }
    }

    /// The member events of users in a state. The numbers of their state keys are mostly in memory.
    pub(super) async fn member_nids(
        &self,
        state: &StateMap,
        users: impl Iterator<Item = OwnedUserId>,
    ) -> Result<Vec<EventNid>, StorageError> {
        let mut keys: Vec<StateKey> =
            users.map(|user_id| StateKey::new("m.room.member", user_id.as_str())).collect();
        keys.sort_unstable();
        keys.dedup();
        let nids: HashMap<_, _> = self.db().state_keys().find_many(&keys).await?;
        Ok(keys.iter().filter_map(|key| state.get(nids.get(key)?).copied()).collect())
    }
}
