//! Rooms that the user left: read as they were then.

use std::collections::HashMap;

use myelin_model::{Event, EventNid, Membership, RoomNid, StreamPos};
use myelin_storage::{MembershipRow, StorageError};

use super::{OwnHistory, Reader, RoomRead};

/// The part to be read of rooms that the user left, or never was in. `is_told` decides by the member event. It takes at
/// most two queries.
pub(crate) async fn left_rooms(
    reader: &Reader<'_>,
    rows: &[MembershipRow],
    timeline_limit: usize,
    is_told: impl Fn(&Event) -> bool,
) -> Result<Vec<RoomRead>, StorageError> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let reads = reader.sync.db().events();
    let nids: Vec<EventNid> = rows.iter().map(|row| row.event_nid).collect();
    let events = reads.find_many(&nids).await?;
    let told: Vec<_> = rows
        .iter()
        .filter_map(|row| Some((row, events.get(&row.event_nid)?)))
        .filter(|(_, event)| is_told(event))
        .collect();
    let nids: Vec<EventNid> = told.iter().filter_map(|(_, event)| event.replaces).collect();
    let before = reads.find_many(&nids).await?;
    let rooms = told.into_iter().map(|(row, event)| {
        let before = event.replaces.and_then(|nid| before.get(&nid));
        let at_start = before.and_then(|event| event.membership);
        RoomRead {
            // What the member event took the place of tells whether the user was in the room.
            bare: at_start != Some(Membership::Join),
            own: OwnHistory { at_start, changes: vec![*row] },
            ..RoomRead::whole(row, row.pos, timeline_limit)
        }
    });
    Ok(rooms.collect())
}

/// The rooms among these that the user was in, each to be read up to the event that ended that: bans, invites and knocks that came
/// after it do not matter. It takes at most one query.
pub(crate) async fn departed_rooms(
    reader: &Reader<'_>,
    rows: &[MembershipRow],
    timeline_limit: usize,
) -> Result<Vec<RoomRead>, StorageError> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let nids: Vec<EventNid> = rows.iter().map(|row| row.event_nid).collect();
    let chain = reader.sync.db().memberships().list_chain(&nids, StreamPos(i64::MIN)).await?;
    let mut later: HashMap<RoomNid, MembershipRow> = HashMap::new();
    let mut rooms: HashMap<RoomNid, RoomRead> = HashMap::new();
    // The newest of a room come first.
    for row in chain {
        let after = later.insert(row.room_nid, row);
        if row.membership == Membership::Join
            && let Some(end) = after.filter(|end| end.membership != Membership::Join)
        {
            rooms.entry(row.room_nid).or_insert_with(|| RoomRead {
                own: OwnHistory { at_start: Some(Membership::Join), changes: vec![end] },
                ..RoomRead::whole(&end, end.pos, timeline_limit)
            });
        }
    }
    Ok(rooms.into_values().collect())
}
