//! Making counts, and carrying them on.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use myelin_engine::notifies;
use myelin_events::{pdu::content_of, sight::Sight};
use myelin_model::{Event, EventNid, RoomNid, StreamPos};
use myelin_storage::{
    Change, LogEntry, MemberSummary, MembershipRow, ReceiptRow, RoomHead, StateMap, StorageError,
    Stretch, StretchRow, UnreadRange,
};
use parking_lot::Mutex;
use ruma::UserId;

use super::{
    Unread,
    counts::{Counts, Item, Older},
    older::{self, OlderUnread},
    threads,
    verdict::{Judge, RoomFacts},
};
use crate::reader::{ReadReceipts, Reader};

/// The number of unread events of a room that are looked at.
const WINDOW_EVENTS_MAX: usize = 100;
/// The least such number, when many rooms are looked at together.
const WINDOW_EVENTS_MIN: usize = 10;
/// The number of unread events that are looked at for all rooms together.
const WINDOWS_EVENTS_MAX: usize = 5_000;
/// Users with rules of their own need a longer look: for them the default count means little.
const OWN_RULES_FACTOR: usize = 5;

/// A room whose counts are wanted.
pub(crate) enum UnreadLoad {
    /// They are known, and these entries came since.
    Known { row: MembershipRow, counts: Arc<Mutex<Counts>>, entries: Vec<Arc<LogEntry>> },
    /// They are to be made.
    New { row: MembershipRow, points: ReadPoints, stretch: Option<Stretch> },
}

/// The positions up to which a user has read a room and its threads.
#[derive(Debug, Default)]
pub(crate) struct ReadPoints {
    pos: StreamPos,
    /// The ordinal of the event at `pos`; `None` if it is the own member event.
    ordinal: Option<i64>,
    /// Positions and ordinals by thread, `main` among them.
    threads: HashMap<Box<str>, (StreamPos, i64)>,
}

impl UnreadLoad {
    /// The events to read.
    pub(crate) fn stretch(&self) -> Option<Stretch> {
        match self {
            Self::Known { .. } => None,
            Self::New { stretch, .. } => *stretch,
        }
    }

    /// The events that came since the counts were made.
    pub(crate) fn new_events(&self) -> impl Iterator<Item = &Arc<Event>> {
        let entries = match self {
            Self::Known { entries, .. } => &entries[..],
            Self::New { .. } => &[],
        };
        entries.iter().filter_map(|entry| entry.change.as_event())
    }

    pub(super) fn row(&self) -> &MembershipRow {
        match self {
            Self::Known { row, .. } | Self::New { row, .. } => row,
        }
    }

    fn needs_rules(&self) -> bool {
        match self {
            Self::Known { entries, .. } => {
                entries.iter().any(|entry| matches!(entry.change, Change::Event(_)))
            }
            Self::New { stretch, .. } => stretch.is_some(),
        }
    }
}

/// Find the counts that are known, and how far the user has read in the other rooms. It takes at most two queries.
pub(crate) async fn begin(
    reader: &Reader<'_>,
    rows: &[MembershipRow],
    heads: &HashMap<RoomNid, Arc<RoomHead>>,
    receipts: &ReadReceipts,
) -> Result<Vec<UnreadLoad>, StorageError> {
    let (mut loads, mut unknown) = (Vec::with_capacity(rows.len()), Vec::new());
    for row in rows {
        match find_known(reader, row) {
            Some(load) => loads.push(load),
            None => unknown.push(*row),
        }
    }
    if unknown.is_empty() {
        return Ok(loads);
    }
    let missing: Vec<RoomNid> = unknown
        .iter()
        .map(|row| row.room_nid)
        .filter(|nid| !receipts.rooms.contains(nid))
        .collect();
    let read = if missing.is_empty() {
        Vec::new()
    } else {
        reader.sync.db().receipts().list_own(&missing, reader.user_id).await?
    };
    let mut points: HashMap<RoomNid, ReadPoints> = HashMap::new();
    for receipt in receipts.by_room.values().flatten().chain(&read) {
        if receipt.user_id == *reader.user_id {
            points.entry(receipt.room_nid).or_default().add(receipt);
        }
    }
    let joins = find_joins(reader, &unknown, &points).await?;
    let limit = window_limit(reader, unknown.len());
    for row in unknown {
        let mut points = points.remove(&row.room_nid).unwrap_or_default();
        match joins.get(&row.room_nid) {
            Some((pos, ordinal)) => points.read_in("", *pos, *ordinal),
            None if row.pos > points.pos => (points.pos, points.ordinal) = (row.pos, None),
            None => {}
        }
        let head = heads.get(&row.room_nid);
        let is_read = head.is_none_or(|head| {
            head.last_pos <= points.pos
                || reader.personal.rules_are_default && points.ordinal == Some(head.notify_ordinal)
        });
        let stretch = (!is_read).then_some(Stretch {
            room_nid: row.room_nid,
            after: points.pos,
            upto: reader.upto,
            limit,
        });
        loads.push(UnreadLoad::New { row, points, stretch });
    }
    Ok(loads)
}

/// The positions at which the user came into rooms, with the ordinals there, where the newest member event is later than what was read: it
/// may be one that a new name made. Who never read anything in a room has read up to that event. It takes at most one query.
async fn find_joins(
    reader: &Reader<'_>,
    rows: &[MembershipRow],
    points: &HashMap<RoomNid, ReadPoints>,
) -> Result<HashMap<RoomNid, (StreamPos, i64)>, StorageError> {
    let is_later =
        |row: &&MembershipRow| points.get(&row.room_nid).is_some_and(|read| row.pos > read.pos);
    let nids: Vec<EventNid> = rows.iter().filter(is_later).map(|row| row.event_nid).collect();
    if nids.is_empty() {
        return Ok(HashMap::new());
    }
    let joins = reader.sync.db().memberships().list_joins(&nids).await?;
    Ok(joins.into_iter().map(|join| (join.room_nid, (join.pos, join.notify_ordinal))).collect())
}

impl ReadPoints {
    fn add(&mut self, receipt: &ReceiptRow) {
        self.read_in(&receipt.thread_id, receipt.event_pos, receipt.notify_ordinal);
    }

    /// Take a thread as read up to a position, where the event has this ordinal; everything, if `thread` is empty.
    pub(super) fn read_in(&mut self, thread: &str, pos: StreamPos, ordinal: i64) {
        if !thread.is_empty() {
            let read = self.threads.entry(thread.into()).or_default();
            *read = (pos, ordinal).max(*read);
        } else if pos > self.pos {
            (self.pos, self.ordinal) = (pos, Some(ordinal));
        }
    }

    /// The position up to which everything is read.
    pub(super) fn pos(&self) -> StreamPos {
        self.pos
    }

    /// The position up to which the main timeline is read, and the ordinal there; `own` is the ordinal of the own
    /// member event.
    fn main(&self, own: Option<i64>) -> (StreamPos, Option<i64>) {
        match self.threads.get("main") {
            Some((pos, ordinal)) if *pos > self.pos => (*pos, Some(*ordinal)),
            Some(_) | None => (self.pos, self.ordinal.or(own)),
        }
    }

    /// The events that are unread up to a position, of which `events_max` are looked through one by one.
    pub(super) fn range(
        &self,
        room_nid: RoomNid,
        upto: StreamPos,
        events_max: usize,
    ) -> UnreadRange {
        let threads = self.threads.iter().map(|(root, (pos, _))| (root.clone(), *pos)).collect();
        let (main_after, _) = self.main(None);
        UnreadRange { room_nid, after: self.pos, upto, main_after, threads, events_max }
    }
}

fn window_limit(reader: &Reader<'_>, rooms: usize) -> usize {
    let limit = (WINDOWS_EVENTS_MAX / rooms.max(1)).clamp(WINDOW_EVENTS_MIN, WINDOW_EVENTS_MAX);
    if reader.personal.rules_are_default { limit } else { limit * OWN_RULES_FACTOR }
}

fn find_known(reader: &Reader<'_>, row: &MembershipRow) -> Option<UnreadLoad> {
    let key = (reader.user_id.to_owned(), row.room_nid);
    let counts = reader.sync.unread().counts.get(&key)?;
    let known = counts.lock();
    if !Arc::ptr_eq(&known.personal, &reader.personal) {
        return None;
    }
    let entries = reader.sync.view().room_since(row.room_nid, known.upto)?;
    let is_unclear = entries.iter().any(|entry| is_unclear(&known, entry, reader.user_id));
    drop(known);
    (!is_unclear).then_some(UnreadLoad::Known { row: *row, counts, entries })
}

/// Whether counts cannot be carried on by an entry.
fn is_unclear(counts: &Counts, entry: &LogEntry, user_id: &UserId) -> bool {
    match &entry.change {
        Change::Receipt { user_id: reader, thread_id, event_pos, .. } => {
            *reader == *user_id && counts.is_unclear(thread_id, *event_pos)
        }
        Change::Event(event) => {
            let comes_or_goes =
                event.membership.is_some() && event.state_key.as_deref() == Some(user_id.as_str());
            comes_or_goes || event.redacts.is_some_and(|nid| counts.may_count(nid))
        }
        Change::Rewritten { event_nids, .. } => event_nids.iter().any(|nid| counts.may_count(*nid)),
        Change::Other { .. } => true,
        Change::StateReset { .. }
        | Change::AccountData { .. }
        | Change::Sessions { .. }
        | Change::Account { .. }
        | Change::Profile { .. }
        | Change::DeviceList { .. }
        | Change::ToDevice { .. }
        | Change::KeyCounts { .. }
        | Change::Signatures { .. }
        | Change::Forgotten { .. } => false,
    }
}

/// Collect the events that the rules ask for.
pub(crate) fn want(
    reader: &Reader<'_>,
    loads: &[UnreadLoad],
    ends: &HashMap<RoomNid, StateMap>,
    wanted: &mut HashSet<EventNid>,
) {
    for load in loads.iter().filter(|load| load.needs_rules()) {
        wanted.insert(load.row().event_nid);
        if let Some(end) = ends.get(&load.row().room_nid) {
            wanted.extend(end.get(&reader.keys.create));
            wanted.extend(end.get(&reader.keys.power_levels));
        }
    }
}

/// The loaded data from which counts are made.
pub(crate) struct Seen<'a> {
    pub(crate) heads: &'a HashMap<RoomNid, Arc<RoomHead>>,
    pub(crate) ends: &'a HashMap<RoomNid, StateMap>,
    pub(crate) events: &'a HashMap<EventNid, Arc<Event>>,
    pub(crate) summaries: &'a HashMap<RoomNid, Arc<MemberSummary>>,
    /// The user's views of rooms that had branches in the time that is looked at.
    pub(crate) sights: &'a HashMap<RoomNid, Sight>,
    /// The events of each stretch.
    pub(crate) rows: &'a [Vec<StretchRow>],
}

/// A load with the events of its stretch, and the rules that it is judged by.
pub(super) type Judged<'a> = (UnreadLoad, &'a [StretchRow], Option<Judge<'a>>);

/// The counts. It takes at most one query for users with rules of their own, one for events that belong to threads by
/// others, and seven where more is unread than is looked at one by one.
pub(crate) async fn finish(
    reader: &Reader<'_>,
    loads: Vec<UnreadLoad>,
    seen: &Seen<'_>,
) -> Result<HashMap<RoomNid, Unread>, StorageError> {
    let members = member_counts(reader, &loads, seen).await?;
    let mut stretches = seen.rows.iter();
    let mut loads: Vec<Judged<'_>> = loads
        .into_iter()
        .map(|load| {
            let rows = load.stretch().and_then(|_| stretches.next());
            let judge = judge(reader, &load, &members, seen);
            (load, rows.map_or(&[][..], Vec::as_slice), judge)
        })
        .collect();
    older::read_by_window(reader, &mut loads, seen.events);
    let shares = older::find_shares(reader, &loads).await?;
    older::read_by_own(reader, &mut loads, &shares).await?;
    let mut older = older::load(reader, &loads, &shares).await?;
    older::hide_unseen(reader, seen.heads, &mut older).await?;
    threads::resolve(reader, &notifying(&loads, seen, &older)).await?;
    let mut unread = HashMap::with_capacity(loads.len());
    for (load, rows, judge) in loads {
        let room_nid = load.row().room_nid;
        let sum = match &load {
            UnreadLoad::Known { counts, entries, .. } => {
                let mut counts = counts.lock();
                carry_on(reader, &mut counts, entries, judge.as_ref());
                counts.sum()
            }
            UnreadLoad::New { .. } => {
                let counts = make(reader, &load, rows, seen, older.get(&room_nid), judge.as_ref());
                let sum = counts.sum();
                let key = (reader.user_id.to_owned(), room_nid);
                reader.sync.unread().counts.insert(key, Arc::new(Mutex::new(counts)));
                sum
            }
        };
        unread.insert(room_nid, sum);
    }
    Ok(unread)
}

/// The rules as they are for the user in a room, if there is anything to judge.
fn judge<'a>(
    reader: &'a Reader<'_>,
    load: &UnreadLoad,
    members: &HashMap<RoomNid, u64>,
    seen: &'a Seen<'_>,
) -> Option<Judge<'a>> {
    let row = load.row();
    if !load.needs_rules() {
        return None;
    }
    let (head, end) = (seen.heads.get(&row.room_nid)?, seen.ends.get(&row.room_nid)?);
    let joined = members.get(&row.room_nid).copied();
    let (events, keys, own_member) = (seen.events, &reader.keys, row.event_nid);
    let sight = seen.sights.get(&row.room_nid);
    let room = RoomFacts { head, end, events, keys, own_member, joined, sight };
    Some(Judge::new(reader.sync.unread(), reader.user_id, &reader.personal, room))
}

/// All events that are judged, each with its rules.
fn notifying<'e>(
    loads: &'e [Judged<'_>],
    seen: &'e Seen<'_>,
    older: &'e HashMap<RoomNid, OlderUnread>,
) -> Vec<(&'e Event, &'e Judge<'e>)> {
    let mut events = Vec::new();
    for (load, rows, judge) in loads {
        let Some(judge) = judge else { continue };
        if let UnreadLoad::Known { entries, .. } = load {
            events.extend(entries.iter().filter_map(|entry| {
                if let Change::Event(event) = &entry.change
                    && event.is_visible()
                {
                    Some((&**event, judge))
                } else {
                    None
                }
            }));
        }
        let read = rows.iter().filter_map(|row| seen.events.get(&row.event_nid));
        events.extend(read.map(|event| (&**event, judge)));
        let mentions = older.get(&load.row().room_nid).into_iter().flat_map(|room| &room.mentions);
        events.extend(mentions.map(|event| (&**event, judge)));
    }
    events
}

async fn member_counts(
    reader: &Reader<'_>,
    loads: &[UnreadLoad],
    seen: &Seen<'_>,
) -> Result<HashMap<RoomNid, u64>, StorageError> {
    let count = |summary: &MemberSummary| u64::try_from(summary.joined).unwrap_or_default();
    let mut counts: HashMap<RoomNid, u64> =
        seen.summaries.iter().map(|(nid, summary)| (*nid, count(summary))).collect();
    if reader.personal.rules_are_default {
        return Ok(counts);
    }
    let missing: Vec<RoomNid> = loads
        .iter()
        .filter(|load| load.needs_rules())
        .map(|load| load.row().room_nid)
        .filter(|nid| !counts.contains_key(nid))
        .collect();
    if !missing.is_empty() {
        let summaries = reader.sync.member_summaries(&missing).await?;
        counts.extend(summaries.iter().map(|(nid, summary)| (*nid, count(summary))));
    }
    Ok(counts)
}

/// Make counts from the newest unread events, and from what is known of those before them.
fn make(
    reader: &Reader<'_>,
    load: &UnreadLoad,
    rows: &[StretchRow],
    seen: &Seen<'_>,
    older: Option<&OlderUnread>,
    judge: Option<&Judge<'_>>,
) -> Counts {
    let personal = Arc::clone(&reader.personal);
    let UnreadLoad::New { points, .. } = load else {
        return Counts::new(reader.upto, personal, StreamPos::ZERO, HashMap::new());
    };
    let threads = points.threads.iter().map(|(root, (pos, _))| (root.clone(), *pos));
    let mut counts = Counts::new(reader.upto, personal, points.pos, threads.collect());
    let events: Vec<&Arc<Event>> =
        rows.iter().filter_map(|row| seen.events.get(&row.event_nid)).collect();
    let own = seen.events.get(&load.row().event_nid).map(|event| event.notify_ordinal);
    if let (Some((points, upto)), Some(first), Some(judge)) =
        (older::before_window(load, rows), events.first(), judge)
        && let (_, Some(read)) = points.main(own)
    {
        let before = first.notify_ordinal - i64::from(has_ordinal(first));
        let all = u64::try_from(before - read).unwrap_or_default();
        let nothing = OlderUnread::default();
        add_older(reader, &mut counts, older.unwrap_or(&nothing), (upto, all), judge);
    }
    for event in events {
        take_up(reader, &mut counts, event, judge);
    }
    counts
}

/// Add what is unread up to a position: `all` events notify there. Those that highlight are kept one by one.
fn add_older(
    reader: &Reader<'_>,
    counts: &mut Counts,
    older: &OlderUnread,
    (upto, all): (StreamPos, u64),
    judge: &Judge<'_>,
) {
    let unread = reader.sync.unread();
    let mut only_counted =
        if judge.hears_messages() { older.counts(upto, all) } else { Older::default() };
    for event in &older.mentions {
        let verdict = judge.judge_seen(event);
        let Some(pos) = event.pos.filter(|_| verdict.highlight && !judge.is_own(event)) else {
            continue;
        };
        let thread = unread.thread_of(event);
        let item = Item { nid: event.nid, pos, thread, highlight: true };
        // It stands in the ordinals as well, unless it notifies only because it is about the user.
        if has_ordinal(event) && counts.is_unread(&item) {
            only_counted.take_out(item.thread.as_deref());
        }
        counts.add(item);
    }
    counts.set_older(only_counted);
}

/// Whether an event stands in the ordinals.
fn has_ordinal(event: &Event) -> bool {
    let content = content_of(&event.json).unwrap_or("{}");
    notifies(&event.event_type, event.is_state(), content)
}

/// Carry counts on by what the log brought.
fn carry_on(
    reader: &Reader<'_>,
    counts: &mut Counts,
    entries: &[Arc<LogEntry>],
    judge: Option<&Judge<'_>>,
) {
    // Another request of the user may have been quicker.
    let from = counts.upto;
    for entry in entries.iter().filter(|entry| entry.pos > from && entry.pos <= reader.upto) {
        match &entry.change {
            Change::Event(event) => {
                if event.is_visible() {
                    take_up(reader, counts, event, judge);
                }
            }
            Change::Receipt { user_id, thread_id, event_pos, .. } => {
                if *user_id == *reader.user_id {
                    counts.read(thread_id, *event_pos);
                }
            }
            Change::StateReset { .. }
            | Change::AccountData { .. }
            | Change::Sessions { .. }
            | Change::Account { .. }
            | Change::Profile { .. }
            | Change::DeviceList { .. }
            | Change::ToDevice { .. }
            | Change::KeyCounts { .. }
            | Change::Signatures { .. }
            | Change::Rewritten { .. }
            | Change::Forgotten { .. }
            | Change::Other { .. } => {}
        }
    }
    counts.upto = counts.upto.max(reader.upto);
}

fn take_up(reader: &Reader<'_>, counts: &mut Counts, event: &Event, judge: Option<&Judge<'_>>) {
    let (Some(judge), Some(pos)) = (judge, event.pos) else { return };
    if let Some(redacted) = event.redacts {
        counts.delete(redacted);
    }
    if judge.is_own(event) {
        if let Some(read) = reader.sync.unread().read_by(event) {
            counts.read(&read, pos);
        }
        return;
    }
    let verdict = judge.judge(event);
    if verdict.notify {
        let thread = reader.sync.unread().thread_of(event);
        let (nid, highlight) = (event.nid, verdict.highlight);
        counts.add(Item { nid, pos, thread, highlight });
    }
}
