//! The events and other changes after a token, oldest first.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use myelin_events::{RoomVersion, sight::Sight};
use myelin_model::{Event, EventNid, Membership, RoomNid, StreamPos};
use myelin_storage::{Change, EphemeralChanges, LogEntry, RoomHead, StorageError};

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
    /// One room, which the user may read.
    Room(RoomNid),
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
    ephemeral: EphemeralChanges,
    /// Presence is told, and typing in all joined rooms. Otherwise only the one room that was asked for is told of.
    tells_presence: bool,
}

/// A room event that the user sees.
pub(super) struct Seen {
    pub(super) event: Arc<Event>,
    pub(super) version: RoomVersion,
    pub(super) membership: Membership,
}

/// Read what happened after `from`: at most `limit` room events, the oldest, and what else there was by the last of
/// them. It takes at most six queries, and none for a user who has kept up.
pub(super) async fn read(
    reader: &Reader<'_>,
    from: SyncToken,
    scope: Scope<'_>,
    limit: usize,
    form: EventForm<'_>,
) -> Result<Chunk, StorageError> {
    let ephemeral = reader.sync.db().ephemeral().changed_since(from.stamp);
    let stamp = ephemeral.stamp;
    let (rooms, beside) = match scope {
        Scope::All(sample) => {
            let changes = changes::since(reader, from.pos, sample).await?;
            let rooms = changes.rooms.into_iter().map(|room| RoomPart::of(reader, room)).collect();
            (rooms, Beside { own: changes.own, ephemeral, tells_presence: true })
        }
        Scope::Room(room_nid) => {
            let rooms = vec![RoomPart::alone(reader, room_nid, from.pos)];
            (rooms, Beside { own: Vec::new(), ephemeral, tells_presence: false })
        }
    };
    let mut nids: Vec<RoomNid> = rooms.iter().map(|room| room.room_nid).collect();
    nids.extend(beside.rooms(reader, &rooms));
    let heads = reader.sync.db().heads().find_many(&nids).await?;
    let (events, end) = next_events(reader, &rooms, from.pos, limit).await?;
    let seen = see(reader, &rooms, &heads, events).await?;
    let mut chunk = Written::default();
    chunk.write_events(reader, form, &seen).await?;
    chunk.write_receipts(reader, &rooms, &heads, end);
    chunk.write_typing(reader, &beside.typing_rooms(reader, &rooms), &heads);
    chunk.write_account_data(&beside.own, &heads, end);
    if beside.tells_presence {
        chunk.write_presence(reader, &beside.ephemeral.presence, &rooms, &seen).await?;
    }
    Ok(Chunk { json: chunk.json, end: SyncToken { pos: end, stamp } })
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

    /// A room by itself.
    fn alone(reader: &Reader<'_>, room_nid: RoomNid, since: StreamPos) -> Self {
        let entries = reader.sync.view().room_since(room_nid, since);
        Self {
            room_nid,
            upto: reader.upto,
            only_own: false,
            is_open: true,
            entered: false,
            has_events: entries.is_some(),
            entries: entries.unwrap_or_default(),
        }
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
    fn rooms(&self, reader: &Reader<'_>, rooms: &[RoomPart]) -> Vec<RoomNid> {
        let mut nids = self.typing_rooms(reader, rooms);
        nids.extend(self.own.iter().filter_map(|entry| {
            if let Change::AccountData { room_nid, .. } = &entry.change { *room_nid } else { None }
        }));
        nids
    }

    /// The rooms in which who types changed, as far as the user hears of it.
    fn typing_rooms(&self, reader: &Reader<'_>, rooms: &[RoomPart]) -> Vec<RoomNid> {
        let is_open = |nid: &&RoomNid| {
            if self.tells_presence {
                reader.joined_row(**nid).is_some()
            } else {
                rooms.iter().any(|room| room.room_nid == **nid && room.is_open)
            }
        };
        self.ephemeral.typing.iter().filter(is_open).copied().collect()
    }
}

/// The oldest events of rooms, and the position up to which they are all there are. It takes at most two queries.
async fn next_events(
    reader: &Reader<'_>,
    rooms: &[RoomPart],
    after: StreamPos,
    limit: usize,
) -> Result<(Vec<Arc<Event>>, StreamPos), StorageError> {
    let db = reader.sync.db();
    let mut events: Vec<Arc<Event>> = rooms.iter().flat_map(RoomPart::events).cloned().collect();
    let unread: Vec<RoomNid> =
        rooms.iter().filter(|room| !room.has_events).map(|room| room.room_nid).collect();
    if !unread.is_empty() {
        let nids =
            db.history().list_next(&unread, after, reader.upto, limit.saturating_add(1)).await?;
        events.extend(db.events().find_many(&nids).await?.into_values());
    }
    events.sort_unstable_by_key(|event| event.pos);
    if events.len() <= limit {
        return Ok((events, reader.upto));
    }
    events.truncate(limit);
    let end = events.last().and_then(|event| event.pos).unwrap_or(reader.upto);
    Ok((events, end))
}

/// The events among these that the user sees, in the form in which the user sees them. It takes at most one query for
/// each room, mostly none.
async fn see(
    reader: &Reader<'_>,
    rooms: &[RoomPart],
    heads: &HashMap<RoomNid, Arc<RoomHead>>,
    events: Vec<Arc<Event>>,
) -> Result<Vec<Seen>, StorageError> {
    let parts: HashMap<RoomNid, &RoomPart> =
        rooms.iter().map(|room| (room.room_nid, room)).collect();
    let mut sights: HashMap<RoomNid, (Sight, RoomVersion)> = HashMap::new();
    for room_nid in events.iter().map(|event| event.room_nid).collect::<HashSet<_>>() {
        let head = heads.get(&room_nid).filter(|head| reader.tells_of(&head.room_id));
        let version = head.and_then(|head| RoomVersion::try_from(&head.room_version).ok());
        if let (Some(head), Some(version)) = (head, version) {
            sights.insert(room_nid, (reader.sight(head).await?, version));
        }
    }
    let nids: Vec<EventNid> = events.iter().map(|event| event.nid).collect();
    // What is in memory may have been redacted since.
    let fresh = reader.sync.db().events().find_many(&nids).await?;
    let seen = events.into_iter().filter_map(|event| {
        let part = parts.get(&event.room_nid)?;
        let (sight, version) = sights.get(&event.room_nid)?;
        let pos = event.pos.filter(|pos| *pos <= part.upto)?;
        let is_own = event.is_state_of("m.room.member", reader.user_id.as_str());
        let is_hidden = part.only_own && !is_own || is_own && !reader.takes_invite(&event);
        if is_hidden || !sight.may_see(&event) {
            return None;
        }
        let event = fresh.get(&event.nid).cloned().unwrap_or(event);
        let membership = sight.membership_at(pos).unwrap_or(Membership::Leave);
        Some(Seen { event: sight.shown(event, *version), version: *version, membership })
    });
    Ok(seen.collect())
}
