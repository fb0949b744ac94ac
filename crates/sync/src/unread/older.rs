//! Unread events before those that are looked at one by one: counted by their ordinals and threads, and looked through for
//! what highlights.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use myelin_model::{Event, EventNid, RoomNid, StreamPos};
use myelin_storage::{RoomHead, SearchRange, StorageError, StretchRow, Uncounted, UnreadRange};
use ruma::push::Action;

use super::{
    counts::Older,
    load::{Judged, ReadPoints, UnreadLoad},
};
use crate::{reader::Reader, view::Personal};

/// The number of events that are looked through for all rooms of a request together, the newest of each: for redacted ones, for one of the
/// user's own, and for words by which the user is called. Whom an event says that it mentions is found among any number.
const LOOKED_THROUGH_EVENTS_MAX: usize = 100_000;
/// The number of users whose messages are told from those that count.
const SILENCED_MAX: usize = 1_000;
/// The number of events of a room that may highlight and are looked at more closely, for each of the two ways to find them: the newest.
const MENTIONS_MAX: usize = 500;

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

/// The rooms where more is unread than the window holds, each with the number of events before it that are looked through. It takes at
/// most one query, and none where the windows hold everything.
pub(super) async fn find_shares(
    reader: &Reader<'_>,
    loads: &[Judged<'_>],
) -> Result<HashMap<RoomNid, usize>, StorageError> {
    let ranges: Vec<UnreadRange> = loads
        .iter()
        .filter_map(|(load, rows, _)| {
            let (points, upto) = before_window(load, rows)?;
            Some(points.range(load.row().room_nid, upto, 0))
        })
        .collect();
    if ranges.is_empty() {
        return Ok(HashMap::new());
    }
    let reads = reader.sync.db().history();
    let mut counts = reads.count_ranges(&ranges, LOOKED_THROUGH_EVENTS_MAX).await?;
    if !share(&mut counts, LOOKED_THROUGH_EVENTS_MAX) {
        let rooms = ranges.len();
        tracing::warn!(
            user.id = %reader.user_id,
            rooms,
            "more is unread than is looked through: old mentions by name alone may be missing from the counts"
        );
    }
    Ok(ranges.iter().map(|range| range.room_nid).zip(counts).collect())
}

/// Cut off the greatest of some numbers, so that their sum is no more than `max`. Whether none had to be.
fn share(counts: &mut [usize], max: usize) -> bool {
    let mut sorted = counts.to_vec();
    sorted.sort_unstable();
    let (mut left, mut rooms) = (max, counts.len());
    for count in sorted {
        let each = left / rooms.max(1);
        if count > each {
            counts.iter_mut().for_each(|count| *count = each.min(*count));
            return false;
        }
        left -= count;
        rooms -= 1;
    }
    true
}

/// Have what the user said in the windows read what is before it.
pub(super) fn read_by_window(
    reader: &Reader<'_>,
    loads: &mut [Judged<'_>],
    events: &HashMap<EventNid, Arc<Event>>,
) {
    for (load, rows, _) in loads {
        let UnreadLoad::New { points, .. } = load else { continue };
        let own = rows.iter().filter(|row| &*row.sender == reader.user_id.as_str());
        for event in own.filter_map(|row| events.get(&row.event_nid)) {
            if let (Some(read), Some(pos)) = (reader.sync.unread().read_by(event), event.pos) {
                points.read_in(&read, pos, event.notify_ordinal);
            }
        }
    }
}

/// Have what the user said before the windows that are full read what is before it. It takes at most one query, and none where the
/// windows hold everything.
pub(super) async fn read_by_own(
    reader: &Reader<'_>,
    loads: &mut [Judged<'_>],
    shares: &HashMap<RoomNid, usize>,
) -> Result<(), StorageError> {
    let (mut places, mut ranges) = (Vec::new(), Vec::new());
    for (place, (load, rows, _)) in loads.iter().enumerate() {
        if let Some((points, upto)) = before_window(load, rows) {
            let room_nid = load.row().room_nid;
            let events_max = shares.get(&room_nid).copied().unwrap_or_default();
            places.push(place);
            ranges.push(points.range(room_nid, upto, events_max));
        }
    }
    if ranges.is_empty() {
        return Ok(());
    }
    let reads = reader.sync.db().history();
    for own in reads.list_newest_own(&ranges, reader.user_id).await? {
        let load = places.get(own.range).and_then(|place| loads.get_mut(*place));
        if let Some((UnreadLoad::New { points, .. }, _, _)) = load {
            points.read_in(own.thread.as_deref().unwrap_or_default(), own.pos, own.notify_ordinal);
        }
    }
    Ok(())
}

/// Read what is unread before the windows that are full. It takes at most five queries, and none where the windows hold everything.
pub(super) async fn load(
    reader: &Reader<'_>,
    loads: &[Judged<'_>],
    shares: &HashMap<RoomNid, usize>,
) -> Result<HashMap<RoomNid, OlderUnread>, StorageError> {
    let (mut ranges, mut searches) = (Vec::new(), Vec::new());
    for (load, rows, judge) in loads {
        let Some((points, upto)) = before_window(load, rows) else { continue };
        let room_nid = load.row().room_nid;
        let events_max = shares.get(&room_nid).copied().unwrap_or_default();
        ranges.push(points.range(room_nid, upto, events_max));
        let Some(judge) = judge else { continue };
        let (names, words) = (judge.names(), judge.words());
        let after = points.pos();
        searches.push(SearchRange { room_nid, after, upto, events_max, words, names });
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
    for event in reads.list_uncounted(&ranges, &silenced(&reader.personal)).await? {
        let Some(range) = ranges.get(event.range) else { continue };
        older.entry(range.room_nid).or_default().take_uncounted(range, &event);
    }
    for event in find_mentions(reader, &searches).await? {
        older.entry(event.room_nid).or_default().mentions.push(event);
    }
    for room in older.values_mut() {
        room.mentions.sort_unstable_by_key(|event| event.pos);
    }
    Ok(older)
}

/// The events that may highlight. It takes at most three queries.
async fn find_mentions(
    reader: &Reader<'_>,
    searches: &[SearchRange],
) -> Result<Vec<Arc<Event>>, StorageError> {
    if searches.is_empty() {
        return Ok(Vec::new());
    }
    let reads = reader.sync.db().history();
    let mut nids = reads.list_mentions(searches, reader.user_id, MENTIONS_MAX).await?;
    nids.extend(reads.list_by_words(searches, MENTIONS_MAX).await?);
    nids.sort_unstable();
    nids.dedup();
    Ok(reader.sync.db().events().find_many(&nids).await?.into_values().collect())
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

/// The user's read positions and the position before the window, if there may be unread events before it.
pub(super) fn before_window<'l>(
    load: &'l UnreadLoad,
    rows: &[StretchRow],
) -> Option<(&'l ReadPoints, StreamPos)> {
    let UnreadLoad::New { points, stretch: Some(stretch), .. } = load else { return None };
    let first = rows.first().filter(|_| rows.len() >= stretch.limit)?;
    let upto = StreamPos(first.pos.0 - 1);
    (upto > points.pos()).then_some((points, upto))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_little_is_looked_through_whole() {
        for (counts, expect, whole) in [
            (vec![], vec![], true),
            (vec![3, 90, 7], vec![3, 90, 7], true),
            (vec![3, 91, 7], vec![3, 90, 7], false),
            (vec![60, 10, 60], vec![45, 10, 45], false),
            (vec![1, 200], vec![1, 99], false),
        ] {
            let mut shares = counts.clone();
            assert_eq!(share(&mut shares, 100), whole, "{counts:?}");
            assert_eq!(shares, expect);
        }
    }
}
