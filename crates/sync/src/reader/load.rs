//! Getting what is not in memory, for all rooms of an answer together.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use myelin_engine::Related;
use myelin_events::{RoomVersion, filter::EventFilter, sight::Sight};
use myelin_model::{Event, EventNid, RoomNid, StateKeyNid};
use myelin_storage::{
    Change, MemberSummary, MembershipRow, ReceiptRow, RoomHead, StateKey, StateMap, StorageError,
};
use ruma::{OwnedUserId, RoomId};

use super::{
    EventForm, EventWriter, Reader, RoomRead, ends, relations, sights, stripped, summary,
    timeline::Window, windows,
};
use crate::unread::{self, Unread};

/// The wishes of a protocol that are the same for all rooms.
pub(crate) struct Wants<'a> {
    /// The filter of the events in timelines.
    pub(crate) timeline: &'a EventFilter,
    /// Only those members of a whole state are told who are needed to show the rest.
    pub(crate) few_members: bool,
    /// Member summaries and unread counts are told.
    pub(crate) counts: bool,
    /// The relations of others to the events of timelines are told with them.
    pub(crate) relations: bool,
    /// Clients take the state in first and the timelines after it: what these show of a key last is what holds at the end.
    pub(crate) state_first: bool,
}

/// The data of all rooms of an answer, from memory and from the database.
pub(crate) struct Loaded {
    pub(crate) heads: HashMap<RoomNid, Arc<RoomHead>>,
    pub(crate) windows: HashMap<RoomNid, Window>,
    /// State at the end of what is told.
    pub(crate) ends: HashMap<RoomNid, StateMap>,
    /// Receipts of rooms told whole.
    pub(crate) receipts: HashMap<RoomNid, Vec<ReceiptRow>>,
    pub(crate) events: HashMap<EventNid, Arc<Event>>,
    /// The keys of rooms told whole to those who want few members.
    pub(crate) keys: HashMap<StateKeyNid, StateKey>,
    /// The keys of the member events of those who speak in timelines, for those who want few members.
    pub(crate) member_keys: HashMap<OwnedUserId, StateKeyNid>,
    pub(crate) summaries: HashMap<RoomNid, Arc<MemberSummary>>,
    pub(crate) unread: HashMap<RoomNid, Unread>,
    /// The user's views of rooms where what is told does not show what the user sees.
    pub(super) sights: HashMap<RoomNid, Sight>,
    /// The relations of others to the events of timelines.
    pub(super) related: Related,
    /// The events that may stand in timelines, where the filter asks for what relates to them.
    pub(super) passing: Option<HashSet<EventNid>>,
    /// The member events of those who invited the user.
    pub(super) inviters: HashMap<RoomNid, EventNid>,
    /// The events that describe rooms to those who are not in them.
    pub(super) describing: HashMap<RoomNid, Vec<EventNid>>,
    /// The states of rooms that this server is not in, as other servers told them with the user's member events.
    pub(super) told: HashMap<EventNid, Box<str>>,
}

impl Loaded {
    /// The ID and version of a room.
    pub(crate) fn room(&self, room_nid: RoomNid) -> Option<(&RoomId, RoomVersion)> {
        let head = self.heads.get(&room_nid)?;
        Some((&head.room_id, RoomVersion::try_from(&head.room_version).ok()?))
    }

    /// A writer of the events of a room of this version.
    pub(crate) fn writer<'a>(
        &'a self,
        reader: &'a Reader<'a>,
        form: EventForm<'a>,
        room: &RoomRead,
        version: RoomVersion,
    ) -> EventWriter<'a> {
        let (events, related) = (&self.events, &self.related);
        let sight = self.sights.get(&room.room_nid);
        let left_at = room.leave_event().map(|_| room.end);
        EventWriter { reader, form, version, events, related, seen: None, sight, left_at }
    }
}

/// Get everything that rooms need, and the invites and knocks `outside` of rooms. `heads` are those of all of them.
pub(crate) async fn load(
    reader: &Reader<'_>,
    wants: &Wants<'_>,
    rooms: &[&RoomRead],
    outside: &[MembershipRow],
    heads: HashMap<RoomNid, Arc<RoomHead>>,
) -> Result<Loaded, StorageError> {
    let ends = ends::load(reader, rooms, &heads).await?;
    let keys = load_keys(reader, wants, rooms, &ends).await?;
    let receipts = load_receipts(reader, rooms).await?;
    let counted = if wants.counts { rows_joined(rooms) } else { Vec::new() };
    let unread = unread::begin(reader, &counted, &heads, &receipts).await?;
    let (mut windows, rows) = windows::load(reader, wants, rooms, &unread).await?;
    let summaries = load_summaries(reader, wants, rooms, &windows).await?;
    let member_keys = load_member_keys(reader, wants, &windows).await?;

    let mut loaded = Loaded {
        heads,
        windows: HashMap::new(),
        ends,
        receipts: receipts.by_room,
        events: HashMap::new(),
        keys,
        member_keys,
        summaries,
        unread: HashMap::new(),
        sights: HashMap::new(),
        related: relations::load(reader, wants, rooms, &windows).await?,
        passing: relations::passing(reader, wants, &windows).await?,
        inviters: HashMap::new(),
        describing: HashMap::new(),
        told: HashMap::new(),
    };
    let mut wanted: HashSet<EventNid> = rows.iter().flatten().map(|row| row.event_nid).collect();
    want(reader, wants, rooms, &loaded, &windows, &mut wanted);
    wanted.extend(outside.iter().map(|row| row.event_nid));
    wanted.extend(loaded.related.nids());
    unread::want(reader, &unread, &loaded.ends, &mut wanted);
    let wanted: Vec<EventNid> = wanted.into_iter().collect();
    loaded.events = reader.sync.db().events().find_many(&wanted).await?;
    add_referred(reader, rooms, &mut loaded, &windows).await?;
    stripped::load(reader, outside, &mut loaded).await?;
    for window in windows.values_mut() {
        window.fill(&loaded.events);
    }
    loaded.windows = windows;
    loaded.sights = sights::load(reader, rooms, &unread, &rows, &loaded).await?;
    let seen = unread::Seen {
        heads: &loaded.heads,
        ends: &loaded.ends,
        events: &loaded.events,
        summaries: &loaded.summaries,
        sights: &loaded.sights,
        rows: &rows,
    };
    loaded.unread = unread::finish(reader, unread, &seen).await?;
    Ok(loaded)
}

fn rows_joined(rooms: &[&RoomRead]) -> Vec<MembershipRow> {
    rooms.iter().filter(|room| room.is_joined()).filter_map(|room| room.row).collect()
}

/// The keys of the states that are told without most of their members. It takes at most one query.
async fn load_keys(
    reader: &Reader<'_>,
    wants: &Wants<'_>,
    rooms: &[&RoomRead],
    ends: &HashMap<RoomNid, StateMap>,
) -> Result<HashMap<StateKeyNid, StateKey>, StorageError> {
    if !wants.few_members {
        return Ok(HashMap::new());
    }
    let full = rooms.iter().filter(|room| room.full).filter_map(|room| ends.get(&room.room_nid));
    let nids: HashSet<StateKeyNid> = full.flat_map(|state| state.keys().copied()).collect();
    let nids: Vec<StateKeyNid> = nids.into_iter().collect();
    reader.sync.db().state_keys().list(&nids).await
}

/// The receipts of rooms that are told whole. It takes at most one query.
async fn load_receipts(
    reader: &Reader<'_>,
    rooms: &[&RoomRead],
) -> Result<ReadReceipts, StorageError> {
    let nids: Vec<RoomNid> = rooms
        .iter()
        .filter(|room| room.full && room.leave_event().is_none())
        .map(|room| room.room_nid)
        .collect();
    if nids.is_empty() {
        return Ok(ReadReceipts::default());
    }
    let mut by_room: HashMap<RoomNid, Vec<ReceiptRow>> = HashMap::new();
    for receipt in reader.sync.db().receipts().list(&nids, reader.user_id).await? {
        by_room.entry(receipt.room_nid).or_default().push(receipt);
    }
    Ok(ReadReceipts { rooms: nids.into_iter().collect(), by_room })
}

/// The receipts of rooms, if they were read.
#[derive(Default)]
pub(crate) struct ReadReceipts {
    /// The rooms of which all receipts were read.
    pub(crate) rooms: HashSet<RoomNid>,
    pub(crate) by_room: HashMap<RoomNid, Vec<ReceiptRow>>,
}

/// Summaries of rooms whose members changed or that are told whole. It takes at most one query.
async fn load_summaries(
    reader: &Reader<'_>,
    wants: &Wants<'_>,
    rooms: &[&RoomRead],
    windows: &HashMap<RoomNid, Window>,
) -> Result<HashMap<RoomNid, Arc<MemberSummary>>, StorageError> {
    if !wants.counts {
        return Ok(HashMap::new());
    }
    let nids: Vec<RoomNid> = rooms
        .iter()
        .filter(|room| room.is_joined())
        .filter(|room| {
            let window = windows.get(&room.room_nid);
            room.full || window.is_some_and(Window::may_change_members)
        })
        .map(|room| room.room_nid)
        .collect();
    reader.sync.member_summaries(&nids).await
}

/// The keys of the member events of those who speak. It takes at most one query.
async fn load_member_keys(
    reader: &Reader<'_>,
    wants: &Wants<'_>,
    windows: &HashMap<RoomNid, Window>,
) -> Result<HashMap<OwnedUserId, StateKeyNid>, StorageError> {
    if !wants.few_members {
        return Ok(HashMap::new());
    }
    let mut senders: HashSet<&str> = HashSet::new();
    for window in windows.values() {
        senders.extend(window.senders());
    }
    let keys: Vec<StateKey> =
        senders.into_iter().map(|sender| StateKey::new("m.room.member", sender)).collect();
    let found = reader.sync.db().state_keys().find_many(&keys).await?;
    Ok(found
        .into_iter()
        .filter_map(|(key, nid)| Some((OwnedUserId::try_from(&*key.state_key).ok()?, nid)))
        .collect())
}

/// Collect the events that are not in memory.
fn want(
    reader: &Reader<'_>,
    wants: &Wants<'_>,
    rooms: &[&RoomRead],
    loaded: &Loaded,
    windows: &HashMap<RoomNid, Window>,
    wanted: &mut HashSet<EventNid>,
) {
    for room in rooms {
        let room_nid = room.room_nid;
        wanted.extend(room.member_event());
        let Some(window) = windows.get(&room_nid) else { continue };
        window.want(room, wanted);
        for entry in &room.entries {
            if let Change::StateReset { event_nid, .. } = &entry.change {
                wanted.extend(event_nid);
            }
        }
        if let Some(summary) = loaded.summaries.get(&room_nid) {
            summary::want(reader, summary, wanted);
        }
        let Some(end) = loaded.ends.get(&room_nid) else { continue };
        let speakers = window
            .senders()
            .filter_map(|sender| loaded.member_keys.get(<&ruma::UserId>::try_from(sender).ok()?));
        wanted.extend(speakers.filter_map(|key| end.get(key)));
        wanted.extend(summary::named_by(reader, end));
        wanted.extend(end.get(&reader.keys.history_visibility));
        if room.full {
            for (key, nid) in end {
                let is_member =
                    loaded.keys.get(key).is_some_and(|key| &*key.event_type == "m.room.member");
                if !wants.few_members || !is_member {
                    wanted.insert(*nid);
                }
            }
        }
    }
}

/// The redactions that emptied events of the timelines, and the member events before those of users who were out of a room all the
/// time. It takes at most one query, none where there are no such events.
async fn add_referred(
    reader: &Reader<'_>,
    rooms: &[&RoomRead],
    loaded: &mut Loaded,
    windows: &HashMap<RoomNid, Window>,
) -> Result<(), StorageError> {
    let read = loaded.events.values().filter_map(|event| event.redacted_by);
    let held = windows.values().flat_map(|window| window.events.iter());
    let bare = rooms.iter().filter(|room| room.bare).filter_map(|room| room.member_event());
    let bare = bare.filter_map(|nid| loaded.events.get(&nid));
    let nids: Vec<EventNid> = read
        .chain(held.filter_map(|event| event.redacted_by))
        .chain(bare.filter_map(|event| event.replaces))
        .filter(|nid| !loaded.events.contains_key(nid))
        .collect();
    if !nids.is_empty() {
        loaded.events.extend(reader.sync.db().events().find_many(&nids).await?);
    }
    Ok(())
}
