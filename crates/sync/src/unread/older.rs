//! Unread events before those that are looked at one by one: counted by their ordinals and threads, and looked through for
//! what highlights.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use myelin_model::{Event, RoomNid, StreamPos};
use myelin_storage::{MentionRange, RoomHead, StorageError, StretchRow, Uncounted, UnreadRange};
use ruma::push::Action;

use super::{
    counts::Older,
    load::{Judged, ReadPoints, UnreadLoad},
};
use crate::{reader::Reader, view::Personal};

/// The number of events of a room that are looked through at most: for highlights, for redacted ones, for one of the user's own.
const SEARCHED_EVENTS_MAX: usize = 10_000;
/// The least such number, when many rooms are looked through together.
const SEARCHED_EVENTS_MIN: usize = 500;
/// The number of events that are looked through for all rooms together.
const SEARCHES_EVENTS_MAX: usize = 100_000;
/// The number of users whose messages are told from those that count.
const SILENCED_MAX: usize = 1_000;
/// The number of events of a room that may highlight and are looked at more closely: the newest.
const MENTIONS_MAX: usize = 100;

/// The unread events of a room before its window.
#[derive(Default)]
pub(super) struct OlderUnread {
    /// Unread events of threads, by their roots.
    threads: HashMap<Box<str>, u64>,
    /// The number of events in threads among those after the position up to which the main timeline is read.
    in_threads: u64,
    /// The number of events among them that do not count: redacted ones, and those of whom the user does not hear.
    uncounted: u64,
    /// Events that may highlight, oldest first.
    pub(super) mentions: Vec<Arc<Event>>,
}

impl OlderUnread {
    /// The counts, where `all` events notify after what is read of the main timeline, and none of them after `upto`.
    pub(super) fn counts(&self, upto: StreamPos, all: u64) -> Older {
        let main = all.saturating_sub(self.uncounted).saturating_sub(self.in_threads);
        Older { upto, main, threads: self.threads.clone() }
    }

    /// An event of the range does not count.
    fn take_uncounted(&mut self, range: &UnreadRange, event: &Uncounted) {
        let after_main = u64::from(event.pos > range.main_after);
        self.uncounted += after_main;
        let Some(root) = &event.thread else { return };
        self.in_threads = self.in_threads.saturating_sub(after_main);
        let read = range.threads.iter().find(|(thread, _)| thread == root);
        if read.is_none_or(|(_, read)| event.pos > *read)
            && let Some(unread) = self.threads.get_mut(root)
        {
            *unread = unread.saturating_sub(1);
        }
    }
}

/// Have the user's newest event before the windows that are full read what is before it. It takes at most one query, and none where
/// the windows hold everything.
pub(super) async fn read_by_own(
    reader: &Reader<'_>,
    loads: &mut [Judged<'_>],
) -> Result<(), StorageError> {
    let (mut places, mut ranges) = (Vec::new(), Vec::new());
    for (place, (load, rows, _)) in loads.iter().enumerate() {
        if let Some((points, upto)) = before_window(reader, load, rows) {
            places.push(place);
            ranges.push(points.range(load.row().room_nid, upto));
        }
    }
    if ranges.is_empty() {
        return Ok(());
    }
    let (user_id, events_max) = (reader.user_id, searched_events_max(ranges.len()));
    let reads = reader.sync.db().history();
    for (range, pos, ordinal) in reads.list_newest_own(&ranges, user_id, events_max).await? {
        let load = places.get(range).and_then(|place| loads.get_mut(*place));
        if let Some((UnreadLoad::New { points, .. }, _, _)) = load {
            points.read_upto(pos, ordinal);
        }
    }
    Ok(())
}

/// Read what is unread before the windows that are full. It takes at most four queries, and none where the windows hold everything.
pub(super) async fn load(
    reader: &Reader<'_>,
    loads: &[Judged<'_>],
) -> Result<HashMap<RoomNid, OlderUnread>, StorageError> {
    let (mut ranges, mut searches) = (Vec::new(), Vec::new());
    for (load, rows, judge) in loads {
        let Some((points, upto)) = before_window(reader, load, rows) else { continue };
        let room_nid = load.row().room_nid;
        ranges.push(points.range(room_nid, upto));
        let hints = judge.as_ref().map_or_else(Vec::new, |judge| judge.spellings());
        if !hints.is_empty() {
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
    let events_max = searched_events_max(ranges.len());
    let silenced = silenced(&reader.personal);
    for event in reads.list_uncounted(&ranges, &silenced, events_max).await? {
        let Some(range) = ranges.get(event.range) else { continue };
        older.entry(range.room_nid).or_default().take_uncounted(range, &event);
    }
    if !searches.is_empty() {
        let events_max = searched_events_max(searches.len());
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

/// Leave out what may highlight but is not for the user to see. It takes no query unless rooms had branches then.
pub(super) async fn hide_unseen(
    reader: &Reader<'_>,
    heads: &HashMap<RoomNid, Arc<RoomHead>>,
    older: &mut HashMap<RoomNid, OlderUnread>,
) -> Result<(), StorageError> {
    let is_unclear = |event: &&Arc<Event>| {
        let head = heads.get(&event.room_nid);
        head.is_some_and(|head| !head.is_open && event.pos <= Some(head.branched_pos))
    };
    let unclear = older.values().flat_map(|room| &room.mentions).filter(is_unclear);
    let unclear: Vec<Arc<Event>> = unclear.cloned().collect();
    let room_nids: HashSet<RoomNid> = unclear.iter().map(|event| event.room_nid).collect();
    let branched = room_nids.iter().filter_map(|room_nid| heads.get(room_nid));
    let branched: Vec<Arc<RoomHead>> = branched.cloned().collect();
    let sights = reader.sights(&branched, &unclear).await?;
    for (room_nid, sight) in &sights {
        if let Some(room) = older.get_mut(room_nid) {
            room.mentions.retain(|event| sight.may_see(event));
        }
    }
    Ok(())
}

/// The users of whose messages the user does not hear: the ignored, and those whom a rule silences.
fn silenced(personal: &Personal) -> Vec<String> {
    let ignored = personal.ignored.iter().map(|user_id| user_id.as_str());
    let rules = personal.rules.sender.iter();
    let by_rules = rules
        .filter(|rule| rule.enabled && !rule.actions.iter().any(Action::should_notify))
        .map(|rule| rule.rule_id.as_str());
    ignored.chain(by_rules).take(SILENCED_MAX).map(ToOwned::to_owned).collect()
}

/// The number of events that are looked through in each of some rooms.
fn searched_events_max(rooms: usize) -> usize {
    (SEARCHES_EVENTS_MAX / rooms.max(1)).clamp(SEARCHED_EVENTS_MIN, SEARCHED_EVENTS_MAX)
}

/// The user's read positions and the position before the window, if there may be unread events before it: an event of the user's own
/// in the window reads all that is before it.
pub(super) fn before_window<'l>(
    reader: &Reader<'_>,
    load: &'l UnreadLoad,
    rows: &[StretchRow],
) -> Option<(&'l ReadPoints, StreamPos)> {
    let UnreadLoad::New { points, stretch: Some(stretch), .. } = load else { return None };
    let first = rows.first().filter(|_| rows.len() >= stretch.limit)?;
    if rows.iter().any(|row| !row.is_member && &*row.sender == reader.user_id.as_str()) {
        return None;
    }
    Some((points, StreamPos(first.pos.0 - 1)))
}
