//! Unread events before those that are looked at one by one: counted by their ordinals and threads, and looked through for
//! what highlights.

use std::{collections::HashMap, sync::Arc};

use myelin_model::{Event, RoomNid, StreamPos};
use myelin_storage::{MentionRange, StorageError, StretchRow};

use super::{
    counts::Older,
    load::{ReadPoints, UnreadLoad},
    verdict::Judge,
};
use crate::reader::Reader;

/// The number of events of a room that are looked through for highlights at most.
const SEARCHED_EVENTS_MAX: usize = 10_000;
/// The least such number, when many rooms are looked through together.
const SEARCHED_EVENTS_MIN: usize = 500;
/// The number of events that are looked through for all rooms together.
const SEARCHES_EVENTS_MAX: usize = 100_000;
/// The number of events of a room that may highlight and are looked at more closely: the newest.
const MENTIONS_MAX: usize = 100;

/// The unread events of a room before its window.
#[derive(Default)]
pub(super) struct OlderUnread {
    /// Unread events of threads, by their roots.
    threads: HashMap<Box<str>, u64>,
    /// The number of events in threads among those after the position up to which the main timeline is read.
    in_threads: u64,
    /// Events that may highlight, oldest first.
    pub(super) mentions: Vec<Arc<Event>>,
}

impl OlderUnread {
    /// The counts, where `all` events notify after what is read of the main timeline, and none of them after `upto`.
    pub(super) fn counts(&self, upto: StreamPos, all: u64) -> Older {
        Older { upto, main: all.saturating_sub(self.in_threads), threads: self.threads.clone() }
    }
}

/// Read what is unread before the windows that are full. It takes at most three queries, and none where the windows
/// hold everything.
pub(super) async fn load(
    reader: &Reader<'_>,
    loads: &[(UnreadLoad, &[StretchRow], Option<Judge<'_>>)],
) -> Result<HashMap<RoomNid, OlderUnread>, StorageError> {
    let (mut ranges, mut searches) = (Vec::new(), Vec::new());
    for (load, rows, judge) in loads {
        let Some((points, upto)) = before_window(load, rows) else { continue };
        let room_nid = load.row().room_nid;
        ranges.push(points.range(room_nid, upto));
        if let Some(hints) = judge.as_ref().and_then(|judge| judge.hints.clone()) {
            searches.push(MentionRange { room_nid, after: points.pos(), upto, hints });
        }
    }
    let mut older: HashMap<RoomNid, OlderUnread> = HashMap::new();
    if ranges.is_empty() {
        return Ok(older);
    }
    let reads = reader.sync.db().history();
    for thread in reads.list_unread_threads(&ranges).await? {
        let Some(range) = ranges.get(thread.range) else { continue };
        let room = older.entry(range.room_nid).or_default();
        room.in_threads += u64::try_from(thread.after_main).unwrap_or_default();
        room.threads.insert(thread.root, u64::try_from(thread.unread).unwrap_or_default());
    }
    if !searches.is_empty() {
        let events_max =
            (SEARCHES_EVENTS_MAX / searches.len()).clamp(SEARCHED_EVENTS_MIN, SEARCHED_EVENTS_MAX);
        let nids = reads.list_mentions(&searches, events_max, MENTIONS_MAX).await?;
        for event in reader.sync.db().events().find_many(&nids).await?.into_values() {
            older.entry(event.room_nid).or_default().mentions.push(event);
        }
    }
    for room in older.values_mut() {
        room.mentions.sort_unstable_by_key(|event| event.pos);
    }
    Ok(older)
}

/// The user's read positions and the position before the window, if there may be unread events before it.
pub(super) fn before_window<'l>(
    load: &'l UnreadLoad,
    rows: &[StretchRow],
) -> Option<(&'l ReadPoints, StreamPos)> {
    let UnreadLoad::New { points, stretch: Some(stretch), .. } = load else { return None };
    let first = rows.first().filter(|_| rows.len() >= stretch.limit)?;
    Some((points, StreamPos(first.pos.0 - 1)))
}
