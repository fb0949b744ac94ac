//! Rooms that the user left: read as they were then.

use std::collections::HashMap;

use myelin_model::{Event, EventNid, Membership, RoomNid, StreamPos};
use myelin_storage::{MembershipRow, StorageError};

use super::{OwnHistory, Reader, RoomRead};

/// The part to be read of rooms that the user left, or never was in. `is_told` decides by the member event. It takes at
/// most three queries.
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
    let at_start = |event: &Event| event.replaces.and_then(|nid| before.get(&nid)?.membership);
    // What the member event took the place of tells whether the user was in the room until then, but not whether before.
    let is_departure = |event: &Event| at_start(event) == Some(Membership::Join);
    let later = told.iter().filter(|(_, event)| !is_departure(event)).map(|(row, _)| row.event_nid);
    let departures = departures(reader, &later.collect::<Vec<_>>()).await?;
    let rooms = told.iter().map(|(row, event)| {
        let departure = departures.get(&row.room_nid).map(|row| row.event_nid);
        RoomRead {
            bare: !is_departure(event) && departure.is_none(),
            departure,
            own: OwnHistory { at_start: at_start(event), changes: vec![**row] },
            ..RoomRead::whole(row, row.pos, timeline_limit)
        }
    });
    Ok(rooms.collect())
}

/// The events that ended the user's being in rooms, by the rooms, of which the newest member events are given. Rooms that the user
/// never was in are not among them. It takes at most one query.
async fn departures(
    reader: &Reader<'_>,
    newest: &[EventNid],
) -> Result<HashMap<RoomNid, MembershipRow>, StorageError> {
    let mut departures = HashMap::new();
    if newest.is_empty() {
        return Ok(departures);
    }
    let chain = reader.sync.db().memberships().list_chain(newest, StreamPos(i64::MIN)).await?;
    let mut later: HashMap<RoomNid, MembershipRow> = HashMap::new();
    // The newest of a room come first.
    for row in chain {
        let after = later.insert(row.room_nid, row);
        if row.membership == Membership::Join
            && let Some(end) = after.filter(|end| end.membership != Membership::Join)
        {
            departures.entry(row.room_nid).or_insert(end);
        }
    }
    Ok(departures)
}

/// The rooms among these that the user was in, each to be read up to the event that ended that: bans, invites and knocks that came
/// after it do not matter. It takes at most one query.
pub(crate) async fn departed_rooms(
    reader: &Reader<'_>,
    rows: &[MembershipRow],
    timeline_limit: usize,
) -> Result<Vec<RoomRead>, StorageError> {
    let nids: Vec<EventNid> = rows.iter().map(|row| row.event_nid).collect();
    let departures = departures(reader, &nids).await?;
    let rooms = departures.values().map(|end| RoomRead {
        own: OwnHistory { at_start: Some(Membership::Join), changes: vec![*end] },
        ..RoomRead::whole(end, end.pos, timeline_limit)
    });
    Ok(rooms.collect())
}
