//! The events and other changes after a token, oldest first.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use myelin_events::{RoomVersion, sight::Sight};
use myelin_model::{Event, EventNid, Membership, RoomNid, StreamPos};
use myelin_storage::{Change, EphemeralChanges, LogEntry, RoomHead, StorageError};
use ruma::OwnedUserId;

use super::written::Written;
use crate::{
    SyncToken,
    reader::{
        EventForm, Reader,
        changes::{self, RoomChange},
    },
    view::Sample,
};

/// The rooms whose changes are read.
pub(super) enum Scope<'s> {
    /// All of the user's rooms, and the changes of the user's own data.
    All(&'s mut Sample),
    /// One room.
    Room {
        room_nid: RoomNid,
        /// The user may read it now, and hears of what passes there. Otherwise only of the events that are visible.
        is_open: bool,
    },
}

/// The number of events for one look.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// The number of events that are told at most.
    pub(super) told: usize,
    /// The number of events, and of other changes of one kind, that are looked at.
    pub(super) looked_at: usize,
}

/// The part of an answer that tells of changes.
pub(super) struct Chunk {
    /// The events, separated by commas.
    pub(super) json: String,
    /// The token up to which everything is told.
    pub(super) end: SyncToken,
}

/// A room in which something may have happened.
pub(super) struct RoomPart {
    pub(super) room_nid: RoomNid,
    /// The user hears nothing of what happened after this position.
    upto: StreamPos,
    /// The user was not in the room: hears only of the own member events.
    only_own: bool,
    /// The user is in the room, or looks into it: hears of what passes there.
    pub(super) is_open: bool,
    pub(super) entered: bool,
    pub(super) entries: Vec<Arc<LogEntry>>,
    has_events: bool,
}

/// The changes beside room events.
struct Beside {
    own: Vec<Arc<LogEntry>>,
    /// The rooms that the user hears of who types in.
    typing: Vec<RoomNid>,
    /// The users whose presence changed.
    presence: Vec<OwnedUserId>,
    /// All rooms are told of, not just the one that was asked for.
    is_of_all: bool,
    stamp: u64,
}

/// The changes that are looked at.
struct Found {
    rooms: Vec<RoomPart>,
    beside: Beside,
    /// The changes beside events are all there are up to this position.
    upto: StreamPos,
}

/// A room event that the user sees.
pub(super) struct Seen {
    pub(super) event: Arc<Event>,
    pub(super) version: RoomVersion,
    pub(super) membership: Membership,
}

/// Read what happened after `from`: the oldest room events, and what else there was by the last of them. It takes at most
/// six queries, and none for a user who has kept up.
pub(super) async fn read(
    reader: &Reader<'_>,
    from: SyncToken,
    scope: Scope<'_>,
    bounds: Bounds,
    form: EventForm<'_>,
) -> Result<Chunk, StorageError> {
    let Found { rooms, beside, upto } = find(reader, from, scope, bounds).await?;
    let mut nids: Vec<RoomNid> = rooms.iter().map(|room| room.room_nid).collect();
    nids.extend(beside.rooms());
    let heads = reader.sync.db().heads().find_many(&nids).await?;
    let stretch = next_events(reader, &rooms, from.pos, upto, bounds.looked_at).await?;
    let (seen, sights, end) = see(reader, &rooms, &heads, stretch, bounds.told).await?;
    let mut chunk = Written::default();
    chunk.write_events(reader, form, &seen, sights).await?;
    chunk.write_receipts(reader, &rooms, &heads, end);
    chunk.write_typing(reader, &beside.typing, &heads);
    chunk.write_account_data(&beside.own, &heads, end);
    if beside.is_of_all {
        chunk.write_presence(reader, &beside.presence, &rooms, &seen).await?;
    } else {
        chunk.write_presence_in(reader, beside.presence, &rooms).await?;
    }
    Ok(Chunk {
        json: chunk.json,
        end: SyncToken { pos: end, stamp: beside.stamp, to_device: None },
    })
}

/// Find the rooms in which something happened, and the changes beside room events.
async fn find(
    reader: &Reader<'_>,
    from: SyncToken,
    scope: Scope<'_>,
    bounds: Bounds,
) -> Result<Found, StorageError> {
    let EphemeralChanges { stamp, typing, presence } =
        reader.sync.db().ephemeral().changed_since(from.stamp);
    match scope {
        Scope::All(sample) => {
            let changes = changes::next(reader, from.pos, sample, bounds.looked_at).await?;
            let rooms = changes.rooms.into_iter().map(|room| RoomPart::of(reader, room)).collect();
            let typing = typing_rooms(reader, &typing, None).await?;
            let beside = Beside { own: changes.own, typing, presence, is_of_all: true, stamp };
            Ok(Found { rooms, beside, upto: changes.upto })
        }
        Scope::Room { room_nid, is_open } => {
            let (room, upto) =
                RoomPart::alone(reader, room_nid, is_open, from.pos, bounds.looked_at);
            let typing = typing_rooms(reader, &typing, Some(&room)).await?;
            let beside = Beside { own: Vec::new(), typing, presence, is_of_all: false, stamp };
            Ok(Found { rooms: vec![room], beside, upto })
        }
    }
}

impl RoomPart {
    fn of(reader: &Reader<'_>, room: RoomChange) -> Self {
        let is_joined = room.row.membership == Membership::Join;
        Self {
            room_nid: room.row.room_nid,
            upto: if is_joined { reader.upto } else { room.row.pos },
            only_own: !room.own.was_ever_joined(),
            is_open: is_joined,
            entered: room.own.is_newly_joined(),
            entries: room.entries,
            has_events: room.has_events,
        }
    }

    /// A room by itself, with its first changes, and the position up to which they are all there are.
    fn alone(
        reader: &Reader<'_>,
        room_nid: RoomNid,
        is_open: bool,
        since: StreamPos,
        entries_max: usize,
    ) -> (Self, StreamPos) {
        let entries = reader.sync.view().room_next(room_nid, since, entries_max);
        let upto = match entries.as_ref().and_then(|entries| entries.last()) {
            Some(last) if entries.as_ref().is_some_and(|all| all.len() >= entries_max) => {
                last.pos.min(reader.upto)
            }
            Some(_) | None => reader.upto,
        };
        let room = Self {
            room_nid,
            upto: reader.upto,
            only_own: false,
            is_open,
            entered: false,
            has_events: entries.is_some(),
            entries: entries.unwrap_or_default(),
        };
        (room, upto)
    }

    /// The events in memory.
    fn events(&self) -> impl Iterator<Item = &Arc<Event>> {
        let entries = self.entries.iter().filter(|entry| entry.pos <= self.upto);
        entries
            .filter_map(
                |entry| {
                    if let Change::Event(event) = &entry.change { Some(event) } else { None }
                },
            )
            .filter(|event| event.is_visible())
    }
}

impl Beside {
    /// The rooms that are named beside room events.
    fn rooms(&self) -> impl Iterator<Item = RoomNid> {
        let of_data = self.own.iter().filter_map(|entry| {
            if let Change::AccountData { room_nid, .. } = &entry.change { *room_nid } else { None }
        });
        self.typing.iter().copied().chain(of_data)
    }
}

/// The rooms among these that the user hears of who types in. It takes at most one query, mostly none.
async fn typing_rooms(
    reader: &Reader<'_>,
    room_nids: &[RoomNid],
    only: Option<&RoomPart>,
) -> Result<Vec<RoomNid>, StorageError> {
    let mut heard = Vec::new();
    for room_nid in room_nids {
        let is_heard = match only {
            Some(room) => room.room_nid == *room_nid && room.is_open,
            None => reader.joined_row(*room_nid).await?.is_some(),
        };
        if is_heard {
            heard.push(*room_nid);
        }
    }
    Ok(heard)
}

/// An unbroken stretch of what happened in some rooms.
struct EventStretch {
    /// The events, oldest first.
    events: Vec<Arc<Event>>,
    /// They are all there are up to this position.
    upto: StreamPos,
}

/// The oldest events of rooms up to a position, at most `events_max`. It takes at most two queries.
async fn next_events(
    reader: &Reader<'_>,
    rooms: &[RoomPart],
    after: StreamPos,
    upto: StreamPos,
    events_max: usize,
) -> Result<EventStretch, StorageError> {
    let db = reader.sync.db();
    let in_memory = rooms.iter().flat_map(RoomPart::events).filter(|event| event.pos <= Some(upto));
    let mut events: Vec<Arc<Event>> = in_memory.cloned().collect();
    let unread: Vec<RoomNid> =
        rooms.iter().filter(|room| !room.has_events).map(|room| room.room_nid).collect();
    if !unread.is_empty() {
        let limit = events_max.saturating_add(1);
        let nids = db.history().list_next(&unread, after, upto, limit).await?;
        events.extend(db.events().find_many(&nids).await?.into_values());
    }
    events.sort_unstable_by_key(|event| event.pos);
    if events.len() <= events_max {
        return Ok(EventStretch { events, upto });
    }
    events.truncate(events_max);
    let upto = events.last().and_then(|event| event.pos).unwrap_or(upto);
    Ok(EventStretch { events, upto })
}

/// The first events of a stretch that the user sees, in the form in which the user sees them, the user's views of their rooms, and the
/// position up to which there are no others. It takes at most one query for each room, mostly none.
async fn see(
    reader: &Reader<'_>,
    rooms: &[RoomPart],
    heads: &HashMap<RoomNid, Arc<RoomHead>>,
    stretch: EventStretch,
    events_max: usize,
) -> Result<(Vec<Seen>, HashMap<RoomNid, Sight>, StreamPos), StorageError> {
    let EventStretch { events, upto } = stretch;
    let parts: HashMap<RoomNid, &RoomPart> =
        rooms.iter().map(|room| (room.room_nid, room)).collect();
    let told: HashSet<RoomNid> = events.iter().map(|event| event.room_nid).collect();
    let told = told.iter().filter_map(|room_nid| heads.get(room_nid));
    let told: Vec<Arc<RoomHead>> =
        told.filter(|head| reader.tells_of(&head.room_id)).cloned().collect();
    let sights = reader.sights(&told, &events).await?;
    let version = |room_nid| RoomVersion::try_from(&heads.get(&room_nid)?.room_version).ok();
    let visible = events.into_iter().filter_map(|event| {
        let part = parts.get(&event.room_nid)?;
        let (sight, version) = (sights.get(&event.room_nid)?, version(event.room_nid)?);
        let pos = event.pos.filter(|pos| *pos <= part.upto)?;
        let is_own = event.is_state_of("m.room.member", reader.user_id.as_str());
        let is_hidden = part.only_own && !is_own || is_own && !reader.takes_invite(&event);
        (!is_hidden && sight.may_see(&event)).then_some((event, pos, sight, version))
    });
    let mut visible: Vec<_> = visible.take(events_max.saturating_add(1)).collect();
    let end = if visible.len() > events_max {
        visible.truncate(events_max);
        visible.last().map_or(upto, |(_, pos, ..)| *pos)
    } else {
        upto
    };
    let nids: Vec<EventNid> = visible.iter().map(|(event, ..)| event.nid).collect();
    // What is in memory may have been redacted since.
    let fresh = reader.sync.db().events().find_many(&nids).await?;
    let seen = visible.into_iter().map(|(event, _, sight, version)| {
        let event = fresh.get(&event.nid).cloned().unwrap_or(event);
        let membership = sight.membership_at(&event).unwrap_or(Membership::Leave);
        Seen { event: sight.shown(event, version), version, membership }
    });
    let seen: Vec<Seen> = seen.collect();
    Ok((seen, sights, end))
}
