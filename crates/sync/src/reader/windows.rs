//! The stretches of history that timelines are cut from.

use std::collections::HashMap;

use myelin_model::{RoomNid, StreamPos};
use myelin_storage::{StorageError, Stretch, StretchRow};

use super::{Reader, RoomRead, Wants, timeline::Window};
use crate::unread::UnreadLoad;

/// The factor by which more events are read for a timeline of which a filter may let only a part pass.
const FILTERED_EVENTS_FACTOR: usize = 10;
/// The least number of events that are read then.
const FILTERED_EVENTS_MIN: usize = 100;
/// The greatest number of events that are read then.
const FILTERED_EVENTS_MAX: usize = 500;

/// The number of events to read for a timeline that has at most `limit`.
fn read_limit(reader: &Reader<'_>, wants: &Wants<'_>, limit: usize) -> usize {
    if limit == 0 {
        1
    } else if wants.timeline.allows_all() && reader.personal.ignored.is_empty() {
        limit.saturating_add(1)
    } else {
        limit.saturating_mul(FILTERED_EVENTS_FACTOR).clamp(FILTERED_EVENTS_MIN, FILTERED_EVENTS_MAX)
    }
}

/// The windows of rooms, and the events of the unread stretches. Their events are in memory or to be loaded by number.
/// It takes at most two queries: for the events, and for state changes where the events have a gap before them.
pub(super) async fn load(
    reader: &Reader<'_>,
    wants: &Wants<'_>,
    rooms: &[&RoomRead],
    unread: &[UnreadLoad],
) -> Result<(HashMap<RoomNid, Window>, Vec<Vec<StretchRow>>), StorageError> {
    let mut windows: HashMap<RoomNid, Window> = HashMap::with_capacity(rooms.len());
    let mut stretches: Vec<Stretch> = Vec::new();
    for room in rooms {
        let room_nid = room.room_nid;
        if room.has_events || room.bare {
            windows.insert(room_nid, Window::in_memory(room));
        } else {
            let after = room.since.unwrap_or(StreamPos::ZERO);
            let limit = read_limit(reader, wants, room.timeline_limit);
            stretches.push(Stretch { room_nid, after, upto: room.end, limit });
        }
    }
    let timelines = stretches.len();
    stretches.extend(unread.iter().filter_map(UnreadLoad::stretch));
    if stretches.is_empty() {
        return Ok((windows, Vec::new()));
    }
    let mut rows: Vec<Vec<StretchRow>> = vec![Vec::new(); stretches.len()];
    for row in reader.sync.db().history().list_stretches(&stretches).await? {
        if let Some(own) = rows.get_mut(row.stretch) {
            own.push(row);
        }
    }
    let unread_rows = rows.split_off(timelines);
    fill_gaps(reader, &stretches, rows, &mut windows).await?;
    Ok((windows, unread_rows))
}

/// Make windows of the events that were found. It takes at most one query, for the state that changed where there are
/// more before.
async fn fill_gaps(
    reader: &Reader<'_>,
    stretches: &[Stretch],
    rows: Vec<Vec<StretchRow>>,
    windows: &mut HashMap<RoomNid, Window>,
) -> Result<(), StorageError> {
    let mut gaps = Vec::new();
    for (stretch, own) in stretches.iter().zip(rows) {
        let complete = own.len() < stretch.limit;
        if let Some(first) = own.first()
            && !complete
            && stretch.after > StreamPos::ZERO
        {
            gaps.push(Stretch { upto: StreamPos(first.pos.0 - 1), ..*stretch });
        }
        windows.insert(stretch.room_nid, Window::to_be_filled(own, complete));
    }
    if gaps.is_empty() {
        return Ok(());
    }
    for row in reader.sync.db().history().list_state_changes(&gaps).await? {
        let room_nid = gaps.get(row.stretch).map(|gap| gap.room_nid);
        if let Some(window) = room_nid.and_then(|nid| windows.get_mut(&nid)) {
            window.gap.push(row);
        }
    }
    Ok(())
}
