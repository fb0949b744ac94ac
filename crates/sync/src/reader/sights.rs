//! The user's views of rooms where what is told does not show what the user sees of it.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use myelin_events::sight::Sight;
use myelin_model::{Event, EventNid, RoomNid};
use myelin_storage::{RoomHead, StorageError, StretchRow};

use super::{Loaded, Reader, RoomRead};
use crate::unread::UnreadLoad;

/// The user's views of the rooms that have branches in what is told of them or counted, or of which events are told that replaced
/// others of which it is not clear that the user sees them; unless the user sees all of the room. It takes what
/// [`Reader::sights`] takes.
pub(super) async fn load(
    reader: &Reader<'_>,
    rooms: &[&RoomRead],
    unread: &[UnreadLoad],
    rows: &[Vec<StretchRow>],
    loaded: &Loaded,
) -> Result<HashMap<RoomNid, Sight>, StorageError> {
    let joined = rooms.iter().filter(|room| room.is_joined()).map(|room| room.room_nid);
    let joined: HashSet<RoomNid> = joined.collect();
    let sees_all = |head: &RoomHead| head.is_open && joined.contains(&head.room_nid);
    let is_unclear = |event: &&Arc<Event>| {
        let head = loaded.heads.get(&event.room_nid);
        head.is_some_and(|head| event.pos <= Some(head.branched_pos) && !sees_all(head))
    };
    let told = loaded.windows.values().flat_map(|window| window.events.iter());
    let counted = rows.iter().flatten().filter_map(|row| loaded.events.get(&row.event_nid));
    let new = unread.iter().flat_map(UnreadLoad::new_events);
    let mut events: Vec<Arc<Event>> =
        told.chain(counted).chain(new).filter(is_unclear).cloned().collect();
    let hidden: HashMap<RoomNid, &RoomRead> = rooms
        .iter()
        .filter(|room| loaded.heads.get(&room.room_nid).is_some_and(|head| !sees_all(head)))
        .map(|room| (room.room_nid, *room))
        .collect();
    events.extend(referred(reader, &hidden, loaded));
    // Who looks in from outside may have been invited, or in the room, at some time.
    for room in rooms.iter().filter(|room| room.row.is_none() && room.own.at_start.is_some()) {
        let window = loaded.windows.get(&room.room_nid);
        events.extend(window.into_iter().flat_map(|window| window.events.iter()).cloned());
    }
    let room_nids: HashSet<RoomNid> = events.iter().map(|event| event.room_nid).collect();
    let heads = room_nids.iter().filter_map(|room_nid| loaded.heads.get(room_nid));
    let heads: Vec<Arc<RoomHead>> = heads.cloned().collect();
    reader.sights(&heads, &events).await
}

/// The events that others of these rooms replaced or that redacted them; none of the rooms where it is clear of all that the user
/// sees them.
fn referred(
    reader: &Reader<'_>,
    rooms: &HashMap<RoomNid, &RoomRead>,
    loaded: &Loaded,
) -> Vec<Arc<Event>> {
    if rooms.is_empty() {
        return Vec::new();
    }
    let told = loaded.windows.values().flat_map(|window| window.events.iter());
    let mut nids: HashMap<RoomNid, HashSet<EventNid>> = HashMap::new();
    for event in told.chain(loaded.events.values()) {
        let Some(room) = rooms.get(&event.room_nid) else { continue };
        let redaction = event.redacted_by.filter(|_| !room.is_joined());
        let nids = nids.entry(event.room_nid).or_default();
        nids.extend(event.replaces.into_iter().chain(redaction));
    }
    let mut referred = Vec::new();
    for (room_nid, nids) in nids {
        let events: Vec<_> = nids.iter().filter_map(|nid| loaded.events.get(nid)).collect();
        let room = rooms.get(&room_nid);
        if room.is_some_and(|room| !events.iter().all(|event| is_clear(reader, room, event))) {
            referred.extend(events.into_iter().cloned());
        }
    }
    referred
}

/// Whether the user sees an event for sure, as an own member event or because the user has been in the room since before it.
fn is_clear(reader: &Reader<'_>, room: &RoomRead, event: &Event) -> bool {
    let stays_since = if room.is_joined() { room.row.map(|row| row.pos) } else { None };
    let heard_since = room.since.filter(|_| room.own.was_joined_throughout());
    event.is_state_of("m.room.member", reader.user_id.as_str())
        || stays_since.is_some_and(|since| event.pos >= Some(since))
        || heard_since.is_some_and(|since| event.pos > Some(since))
}
