//! Rooms that the user left: read as they were then.

use myelin_model::{Event, EventNid, Membership};
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
