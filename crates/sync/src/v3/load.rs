//! Getting what is not in memory, for all rooms of an answer together.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use myelin_events::RoomVersion;
use myelin_model::{Event, EventNid, RoomNid, StateKeyNid, StreamPos};
use myelin_storage::{
    Change, MemberSummary, MembershipRow, ReceiptRow, RoomHead, StateKey, StateMap, StorageError,
    Stretch, StretchRow,
};
use ruma::{OwnedUserId, RoomId};

use super::{
    Pass, SyncError,
    plan::{Plan, RoomTask},
    relations::{self, Related},
    stripped, summary,
    timeline::Window,
};
use crate::unread::{self, Unread, UnreadLoad};

/// How long to wait for the log to bring what a head read from the database has already.
const HEAD_WAIT_MILLIS_MAX: u64 = 2_000;

/// How many events are read for a timeline of which a filter may let only a part pass.
const FILTERED_EVENTS_FACTOR: usize = 10;
/// At least and at most.
const FILTERED_EVENTS_MIN: usize = 100;
/// At most.
const FILTERED_EVENTS_MAX: usize = 500;

/// What was in memory and what was read.
pub(super) struct Loaded {
    pub(super) heads: HashMap<RoomNid, Arc<RoomHead>>,
    pub(super) windows: HashMap<RoomNid, Window>,
    /// State at the end of what is told.
    pub(super) ends: HashMap<RoomNid, StateMap>,
    /// Receipts of rooms told whole.
    pub(super) receipts: HashMap<RoomNid, Vec<ReceiptRow>>,
    pub(super) events: HashMap<EventNid, Arc<Event>>,
    /// The keys of rooms told whole to those who want few members.
    pub(super) keys: HashMap<StateKeyNid, StateKey>,
    /// The keys of the member events of those who speak in timelines.
    pub(super) member_keys: HashMap<OwnedUserId, StateKeyNid>,
    pub(super) summaries: HashMap<RoomNid, Arc<MemberSummary>>,
    pub(super) unread: HashMap<RoomNid, Unread>,
    /// What relates to the events of timelines.
    pub(super) related: Related,
    /// The events that may stand in timelines, where the filter asks for what relates to them.
    pub(super) passing: Option<HashSet<EventNid>>,
    /// The member events of those who invited the user.
    pub(super) inviters: HashMap<RoomNid, EventNid>,
    /// The events that describe rooms to those who are not in them.
    pub(super) describing: HashMap<RoomNid, Vec<EventNid>>,
}

impl Loaded {
    /// The ID and version of a room.
    pub(super) fn room(&self, room_nid: RoomNid) -> Option<(&RoomId, RoomVersion)> {
        let head = self.heads.get(&room_nid)?;
        Some((&head.room_id, RoomVersion::try_from(&head.room_version).ok()?))
    }
}

/// Get everything that the rooms of a plan need.
pub(super) async fn load(pass: &Pass<'_>, plan: &Plan) -> Result<Loaded, SyncError> {
    let heads = load_heads(pass, plan).await?;
    let tasks: Vec<&RoomTask> = plan
        .rooms
        .iter()
        .filter(|task| {
            heads.get(&task.row.room_nid).is_some_and(|head| pass.allows_room(&head.room_id))
        })
        .collect();
    let ends = load_ends(pass, &tasks, &heads).await?;
    let keys = load_keys(pass, &tasks, &ends).await?;
    let receipts = load_receipts(pass, &tasks).await?;
    let unread = unread::begin(pass, &rows_joined(&tasks), &heads, &receipts).await?;
    let (mut windows, rows) = load_windows(pass, &tasks, &unread).await?;
    let summaries = load_summaries(pass, &tasks, &windows).await?;
    let member_keys = load_member_keys(pass, &windows).await?;

    let mut loaded = Loaded {
        heads,
        windows: HashMap::new(),
        ends,
        receipts: by_room(receipts),
        events: HashMap::new(),
        keys,
        member_keys,
        summaries,
        unread: HashMap::new(),
        related: relations::load(pass, &tasks, &windows).await?,
        passing: relations::passing(pass, &windows).await?,
        inviters: HashMap::new(),
        describing: HashMap::new(),
    };
    let mut wanted: HashSet<EventNid> = rows.iter().flatten().map(|row| row.event_nid).collect();
    want(pass, plan, &tasks, &loaded, &windows, &mut wanted);
    relations::want(&loaded.related, &mut wanted);
    unread::want(pass, &unread, &loaded.ends, &mut wanted);
    let wanted: Vec<EventNid> = wanted.into_iter().collect();
    loaded.events = pass.sync.db().events().find_many(&wanted).await?;
    add_redactions(pass, &mut loaded, &windows).await?;
    stripped::load(pass, plan, &mut loaded).await?;
    for window in windows.values_mut() {
        window.fill(&loaded.events);
    }
    loaded.windows = windows;
    let seen = unread::Seen {
        heads: &loaded.heads,
        ends: &loaded.ends,
        events: &loaded.events,
        summaries: &loaded.summaries,
        rows: &rows,
    };
    loaded.unread = unread::finish(pass, unread, &seen).await?;
    Ok(loaded)
}

fn rows_joined(tasks: &[&RoomTask]) -> Vec<MembershipRow> {
    tasks.iter().filter(|task| task.is_joined()).map(|task| task.row).collect()
}

fn by_room(receipts: Vec<ReceiptRow>) -> HashMap<RoomNid, Vec<ReceiptRow>> {
    let mut rooms: HashMap<RoomNid, Vec<ReceiptRow>> = HashMap::new();
    for receipt in receipts {
        rooms.entry(receipt.room_nid).or_default().push(receipt);
    }
    rooms
}

/// Two queries for all rooms whose heads are not in memory.
async fn load_heads(
    pass: &Pass<'_>,
    plan: &Plan,
) -> Result<HashMap<RoomNid, Arc<RoomHead>>, SyncError> {
    let tasks = plan.rooms.iter().map(|task| task.row.room_nid);
    let others = plan.invited.iter().chain(&plan.knocked).map(|row| row.room_nid);
    let nids: Vec<RoomNid> = tasks.chain(others).collect();
    Ok(pass.sync.db().heads().find_many(&nids).await?)
}

/// The states at the ends of the timelines. At most one query, for the rooms that the user left.
async fn load_ends(
    pass: &Pass<'_>,
    tasks: &[&RoomTask],
    heads: &HashMap<RoomNid, Arc<RoomHead>>,
) -> Result<HashMap<RoomNid, StateMap>, SyncError> {
    let mut ends = HashMap::with_capacity(tasks.len());
    let mut left = Vec::new();
    for task in tasks {
        let room_nid = task.row.room_nid;
        if !task.is_joined() {
            if !task.bare {
                left.push(task.row);
            }
        } else if let Some(head) = heads.get(&room_nid) {
            ends.insert(room_nid, roll_back(pass, head, task.end).await);
        }
    }
    if left.is_empty() {
        return Ok(ends);
    }
    let db = pass.sync.db();
    let nids: Vec<EventNid> = left.iter().map(|row| row.event_nid).collect();
    let events = db.events().find_many(&nids).await?;
    let after = |nid: EventNid| events.get(&nid).and_then(|event| event.state_after);
    let state_nids: Vec<_> = left.iter().filter_map(|row| after(row.event_nid)).collect();
    let states = db.states(&state_nids).await?;
    for row in left {
        if let Some(state) = after(row.event_nid).and_then(|nid| states.get(&nid)) {
            ends.insert(row.room_nid, state.clone());
        }
    }
    Ok(ends)
}

/// A room's state at a position not long ago.
async fn roll_back(pass: &Pass<'_>, head: &RoomHead, end: StreamPos) -> StateMap {
    let mut state = head.state.clone();
    if head.last_pos <= end {
        return state;
    }
    // The head may come from the database, ahead of what this node has applied.
    let patience = Duration::from_millis(HEAD_WAIT_MILLIS_MAX);
    pass.sync.db().log().wait_for(head.last_pos, patience).await;
    let entries = pass.sync.view().room_since(head.room_nid, end).unwrap_or_default();
    for entry in entries.iter().rev().filter(|entry| entry.pos <= head.last_pos) {
        if let Change::Event(event) = &entry.change
            && event.is_visible()
        {
            undo(&mut state, event.state_key_nid, event.replaces);
        }
    }
    state
}

/// Take a state event back.
pub(super) fn undo(state: &mut StateMap, key: Option<StateKeyNid>, replaces: Option<EventNid>) {
    match (key, replaces) {
        (Some(key), Some(before)) => drop(state.insert(key, before)),
        (Some(key), None) => drop(state.remove(&key)),
        (None, _) => {}
    }
}

/// The keys of the states that are told without most of their members. At most one query.
async fn load_keys(
    pass: &Pass<'_>,
    tasks: &[&RoomTask],
    ends: &HashMap<RoomNid, StateMap>,
) -> Result<HashMap<StateKeyNid, StateKey>, SyncError> {
    if !pass.filter().lazy_load_members() {
        return Ok(HashMap::new());
    }
    let full =
        tasks.iter().filter(|task| task.full).filter_map(|task| ends.get(&task.row.room_nid));
    let nids: HashSet<StateKeyNid> = full.flat_map(|state| state.keys().copied()).collect();
    let nids: Vec<StateKeyNid> = nids.into_iter().collect();
    Ok(pass.sync.db().state_keys().list(&nids).await?)
}

/// The receipts of rooms that are told whole. At most one query.
async fn load_receipts(pass: &Pass<'_>, tasks: &[&RoomTask]) -> Result<Vec<ReceiptRow>, SyncError> {
    let nids: Vec<RoomNid> = tasks
        .iter()
        .filter(|task| task.full && task.is_joined())
        .map(|task| task.row.room_nid)
        .collect();
    if nids.is_empty() {
        return Ok(Vec::new());
    }
    Ok(pass.sync.db().sync_reads().list_receipts(&nids, pass.user_id(), false).await?)
}

/// How many events a timeline has at most, as the client and the server want it.
pub(super) fn timeline_limit(pass: &Pass<'_>) -> usize {
    const DEFAULT: usize = 10;
    let wanted = pass.filter().room.timeline.limit.unwrap_or(DEFAULT);
    wanted.min(pass.sync.settings().timeline_events_max)
}

/// How many events to read for a timeline.
fn read_limit(pass: &Pass<'_>) -> usize {
    let limit = timeline_limit(pass);
    let filter = &pass.filter().room.timeline;
    if limit == 0 {
        1
    } else if filter.allows_all() && pass.personal.ignored.is_empty() {
        limit + 1
    } else {
        (limit * FILTERED_EVENTS_FACTOR).clamp(FILTERED_EVENTS_MIN, FILTERED_EVENTS_MAX)
    }
}

/// The events of the timelines, in memory or by number. At most two queries: for the events, and for state changes where the
/// events have a gap before them.
async fn load_windows(
    pass: &Pass<'_>,
    tasks: &[&RoomTask],
    unread: &[UnreadLoad],
) -> Result<(HashMap<RoomNid, Window>, Vec<Vec<StretchRow>>), SyncError> {
    let mut windows: HashMap<RoomNid, Window> = HashMap::with_capacity(tasks.len());
    let mut stretches: Vec<Stretch> = Vec::new();
    let limit = read_limit(pass);
    for task in tasks {
        let room_nid = task.row.room_nid;
        if task.has_events || task.bare {
            windows.insert(room_nid, Window::in_memory(task));
        } else {
            let after = task.since.unwrap_or(StreamPos::ZERO);
            stretches.push(Stretch { room_nid, after, upto: task.end, limit });
        }
    }
    let timelines = stretches.len();
    stretches.extend(unread.iter().filter_map(UnreadLoad::stretch));
    if stretches.is_empty() {
        return Ok((windows, Vec::new()));
    }
    let reads = pass.sync.db().sync_reads();
    let mut rows: Vec<Vec<StretchRow>> = vec![Vec::new(); stretches.len()];
    for row in reads.list_stretches(&stretches).await? {
        if let Some(own) = rows.get_mut(row.stretch) {
            own.push(row);
        }
    }
    let unread_rows = rows.split_off(timelines);
    let mut gaps = Vec::new();
    for (stretch, own) in stretches.iter().zip(rows) {
        let complete = own.len() < limit;
        if let Some(first) = own.first()
            && !complete
            && stretch.after > StreamPos::ZERO
        {
            gaps.push(Stretch { upto: StreamPos(first.pos.0 - 1), ..*stretch });
        }
        windows.insert(stretch.room_nid, Window::to_be_filled(own, complete));
    }
    if !gaps.is_empty() {
        for row in reads.list_state_changes(&gaps).await? {
            let room_nid = gaps.get(row.stretch).map(|gap| gap.room_nid);
            if let Some(window) = room_nid.and_then(|nid| windows.get_mut(&nid)) {
                window.gap.push(row);
            }
        }
    }
    Ok((windows, unread_rows))
}

/// Summaries of rooms whose members changed or that are told whole. At most one query.
async fn load_summaries(
    pass: &Pass<'_>,
    tasks: &[&RoomTask],
    windows: &HashMap<RoomNid, Window>,
) -> Result<HashMap<RoomNid, Arc<MemberSummary>>, SyncError> {
    let nids: Vec<RoomNid> = tasks
        .iter()
        .filter(|task| task.is_joined())
        .filter(|task| {
            let window = windows.get(&task.row.room_nid);
            task.full || window.is_some_and(Window::may_change_members)
        })
        .map(|task| task.row.room_nid)
        .collect();
    Ok(pass.sync.member_summaries(&nids).await?)
}

/// The keys of the member events of those who speak. At most one query.
async fn load_member_keys(
    pass: &Pass<'_>,
    windows: &HashMap<RoomNid, Window>,
) -> Result<HashMap<OwnedUserId, StateKeyNid>, SyncError> {
    if !pass.filter().lazy_load_members() {
        return Ok(HashMap::new());
    }
    let mut senders: HashSet<&str> = HashSet::new();
    for window in windows.values() {
        senders.extend(window.senders());
    }
    let keys: Vec<StateKey> =
        senders.into_iter().map(|sender| StateKey::new("m.room.member", sender)).collect();
    let found = pass.sync.db().state_keys().find_many(&keys).await?;
    Ok(found
        .into_iter()
        .filter_map(|(key, nid)| Some((OwnedUserId::try_from(&*key.state_key).ok()?, nid)))
        .collect())
}

/// Collect the events that are not in memory.
fn want(
    pass: &Pass<'_>,
    plan: &Plan,
    tasks: &[&RoomTask],
    loaded: &Loaded,
    windows: &HashMap<RoomNid, Window>,
    wanted: &mut HashSet<EventNid>,
) {
    for task in tasks {
        let room_nid = task.row.room_nid;
        wanted.insert(task.row.event_nid);
        let Some(window) = windows.get(&room_nid) else { continue };
        window.want(wanted);
        for entry in &task.entries {
            if let Change::StateReset { event_nid, .. } = &entry.change {
                wanted.extend(event_nid);
            }
        }
        if let Some(summary) = loaded.summaries.get(&room_nid) {
            summary::want(pass, summary, wanted);
        }
        let Some(end) = loaded.ends.get(&room_nid) else { continue };
        let speakers = window
            .senders()
            .filter_map(|sender| loaded.member_keys.get(<&ruma::UserId>::try_from(sender).ok()?));
        wanted.extend(speakers.filter_map(|key| end.get(key)));
        wanted.extend(summary::named_by(pass, end));
        wanted.extend(end.get(&pass.keys.history_visibility));
        if task.full {
            let lazy = pass.filter().lazy_load_members();
            for (key, nid) in end {
                let is_member =
                    loaded.keys.get(key).is_some_and(|key| &*key.event_type == "m.room.member");
                if !lazy || !is_member {
                    wanted.insert(*nid);
                }
            }
        }
    }
    wanted.extend(plan.invited.iter().chain(&plan.knocked).map(|row| row.event_nid));
}

/// The redactions that emptied events of the timelines. No query where nothing was redacted.
async fn add_redactions(
    pass: &Pass<'_>,
    loaded: &mut Loaded,
    windows: &HashMap<RoomNid, Window>,
) -> Result<(), StorageError> {
    let read = loaded.events.values().filter_map(|event| event.redacted_by);
    let held = windows.values().flat_map(|window| window.events.iter());
    let nids: Vec<EventNid> = read
        .chain(held.filter_map(|event| event.redacted_by))
        .filter(|nid| !loaded.events.contains_key(nid))
        .collect();
    if !nids.is_empty() {
        loaded.events.extend(pass.sync.db().events().find_many(&nids).await?);
    }
    Ok(())
}
