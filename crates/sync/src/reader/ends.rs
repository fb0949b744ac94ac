//! The state of rooms at the end of what is told.

use std::{collections::HashMap, sync::Arc, time::Duration};

use myelin_model::{EventNid, RoomNid, StateKeyNid, StreamPos};
use myelin_storage::{Change, LogEntry, RoomHead, StateMap, StorageError};

use super::{Reader, RoomRead};

/// The time to wait for the log to bring what a head read from the database has already, in milliseconds.
const HEAD_WAIT_MILLIS_MAX: u64 = 2_000;

/// The states at the ends of the timelines. It takes at most two queries for the rooms that the user left, and two for each room
/// of which this node does not know what happened after its end: mostly none.
pub(super) async fn load(
    reader: &Reader<'_>,
    rooms: &[&RoomRead],
    heads: &HashMap<RoomNid, Arc<RoomHead>>,
) -> Result<HashMap<RoomNid, StateMap>, StorageError> {
    let mut ends = HashMap::with_capacity(rooms.len());
    let mut left = Vec::new();
    for room in rooms {
        let room_nid = room.room_nid;
        if let Some(event_nid) = room.leave_event() {
            if !room.bare {
                left.push((room_nid, room.departure.unwrap_or(event_nid), event_nid));
            }
        } else if let Some(head) = heads.get(&room_nid) {
            ends.insert(room_nid, roll_back(reader, head, room.end).await?);
        }
    }
    if left.is_empty() {
        return Ok(ends);
    }
    let db = reader.sync.db();
    let nids: Vec<EventNid> =
        left.iter().flat_map(|(_, departure, own)| [*departure, *own]).collect();
    let events = db.events().find_many(&nids).await?;
    let after = |nid: EventNid| events.get(&nid).and_then(|event| event.state_after);
    let state_nids: Vec<_> = left.iter().filter_map(|(_, nid, _)| after(*nid)).collect();
    let states = db.states().list(&state_nids).await?;
    for (room_nid, departure, own) in left {
        if let Some(state) = after(departure).and_then(|nid| states.get(&nid)) {
            let mut state = state.clone();
            if let Some(key) = events.get(&own).and_then(|event| event.state_key_nid) {
                state.insert(key, own);
            }
            ends.insert(room_nid, state);
        }
    }
    Ok(ends)
}

/// A room's state at a position not long ago. It takes no query where what happened since is in memory, else two.
async fn roll_back(
    reader: &Reader<'_>,
    head: &RoomHead,
    end: StreamPos,
) -> Result<StateMap, StorageError> {
    if head.last_pos <= end {
        return Ok(head.state.clone());
    }
    // The head may come from the database, ahead of what this node has applied.
    let log = reader.sync.db().log();
    log.wait_for(head.last_pos, Duration::from_millis(HEAD_WAIT_MILLIS_MAX)).await;
    let entries = reader.sync.view().room_since(head.room_nid, end);
    let entries = entries.filter(|_| log.applied() >= head.last_pos);
    match entries.and_then(|entries| undo_all(head, &entries)) {
        Some(state) => Ok(state),
        None => read_at(reader, head, end).await,
    }
}

/// The state of a head with what led to it taken back. `None` if a change is no event: nothing tells what was before.
fn undo_all(head: &RoomHead, entries: &[Arc<LogEntry>]) -> Option<StateMap> {
    let mut state = head.state.clone();
    for entry in entries.iter().rev().filter(|entry| entry.pos <= head.last_pos) {
        match &entry.change {
            Change::Event(event) if event.is_visible() => {
                undo(&mut state, event.state_key_nid, event.replaces);
            }
            Change::StateReset { .. } | Change::Other { .. } => return None,
            Change::Event(_)
            | Change::Receipt { .. }
            | Change::AccountData { .. }
            | Change::Sessions { .. }
            | Change::Account { .. }
            | Change::Profile { .. }
            | Change::DeviceList { .. }
            | Change::ToDevice { .. }
            | Change::KeyCounts { .. }
            | Change::Signatures { .. }
            | Change::Rewritten { .. }
            | Change::Forgotten { .. } => {}
        }
    }
    Some(state)
}

/// Read a room's state at a position.
async fn read_at(
    reader: &Reader<'_>,
    head: &RoomHead,
    end: StreamPos,
) -> Result<StateMap, StorageError> {
    reader.sync.db().history().get_state_at(head.room_nid, end).await
}

/// Take a state event back.
pub(crate) fn undo(state: &mut StateMap, key: Option<StateKeyNid>, replaces: Option<EventNid>) {
    match (key, replaces) {
        (Some(key), Some(before)) => drop(state.insert(key, before)),
        (Some(key), None) => drop(state.remove(&key)),
        (None, _) => {}
    }
}
