//! The changes that concern a user after a position: from memory, or from the database for users who were away for
//! long.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use myelin_model::{EventNid, Membership, RoomNid, StreamPos};
use myelin_storage::{Change, LogEntry, MembershipRow, StorageError};
use ruma::OwnedUserId;

use super::{OwnHistory, Reader, RoomRead};
use crate::view::{Sample, UserChanges, is_join};

/// The changes that concern a user after a position.
pub(crate) struct Changes {
    /// The changes of the user's own data and memberships, oldest first.
    pub(crate) own: Vec<Arc<LogEntry>>,
    /// The rooms in which something happened, or in which the user's membership changed.
    pub(crate) rooms: Vec<RoomChange>,
    /// The users whose devices changed, whoever they are.
    pub(crate) device_lists: Vec<OwnedUserId>,
    /// Everything, events aside, is here up to this position.
    pub(crate) upto: StreamPos,
}

/// The changes in one room.
pub(crate) struct RoomChange {
    /// The user's present membership in it.
    pub(crate) row: MembershipRow,
    pub(crate) entries: Vec<Arc<LogEntry>>,
    /// `entries` has all events; else they must be read.
    pub(crate) has_events: bool,
    /// The changes of the user's membership.
    pub(crate) own: OwnHistory,
}

impl RoomChange {
    /// The user's membership changed.
    pub(crate) fn is_moved(&self, since: StreamPos) -> bool {
        self.row.pos > since
    }

    /// The leave that stands before a new invite or knock, where both came since: the user hears of both.
    pub(crate) fn leave_before(&self) -> Option<Self> {
        if !matches!(self.row.membership, Membership::Invite | Membership::Knock) {
            return None;
        }
        let own = self.own.up_to_leave()?;
        let row = *own.changes.last()?;
        Some(Self { row, entries: self.entries.clone(), has_events: self.has_events, own })
    }

    /// The part of a room to be read, of one that the user is in or left since. `None` where the user hears nothing but
    /// an invite.
    pub(crate) fn into_read(
        self,
        since: StreamPos,
        upto: StreamPos,
        timeline_limit: usize,
    ) -> Option<RoomRead> {
        let Self { row, entries, has_events, own } = self;
        let joined = row.membership == Membership::Join;
        let left = row.pos > since && matches!(row.membership, Membership::Leave | Membership::Ban);
        if !joined && !left {
            return None;
        }
        let newly_joined = own.is_newly_joined();
        let departure = own.departure().filter(|nid| left && *nid != row.event_nid);
        Some(RoomRead {
            room_nid: row.room_nid,
            row: Some(row),
            end: if left { row.pos } else { upto },
            since: (!newly_joined).then_some(since),
            timeline_limit,
            // Who joined and left since has nothing of the room; and what changed after the departure is not to be told.
            full: newly_joined || left && !own.was_joined_at_start() || departure.is_some(),
            newly_joined,
            bare: left && !own.was_ever_joined(),
            departure,
            has_events: has_events && !newly_joined,
            entries,
            own,
        })
    }
}

/// Find what happened to a user after `since`. It takes at most one query where it is in memory, else two.
pub(crate) async fn since(
    reader: &Reader<'_>,
    since: StreamPos,
    sample: &mut Sample,
) -> Result<Changes, StorageError> {
    find(reader, since, sample, None).await
}

/// Find what happened to a user next after `since`, device lists aside: of what must be read from the database, events aside, at
/// most `entries_max` entries of the log. It takes at most one query where it is in memory, else two.
pub(crate) async fn next(
    reader: &Reader<'_>,
    since: StreamPos,
    sample: &mut Sample,
    entries_max: usize,
) -> Result<Changes, StorageError> {
    find(reader, since, sample, Some(entries_max)).await
}

async fn find(
    reader: &Reader<'_>,
    since: StreamPos,
    sample: &mut Sample,
    entries_max: Option<usize>,
) -> Result<Changes, StorageError> {
    let (changes, mut histories, has_events, upto) = match sample.changes.take() {
        Some(changes) => {
            let histories = histories(reader, &changes).await?;
            (changes, histories, true, reader.upto)
        }
        None => {
            let (changes, histories, upto) =
                read(reader, since, &sample.rooms, entries_max).await?;
            (changes, histories, false, upto)
        }
    };
    let rooms = changes.rooms.into_iter().map(|(row, entries)| {
        let own = histories.remove(&row.room_nid);
        let own = own.unwrap_or_else(|| OwnHistory::unchanged(row.membership));
        RoomChange { row, entries, has_events, own }
    });
    let (own, device_lists) = (changes.own, changes.device_lists);
    Ok(Changes { rooms: rooms.collect(), own, device_lists, upto })
}

/// Read from the database what happened to a user who was away for long, and tell up to where that is everything.
async fn read(
    reader: &Reader<'_>,
    since: StreamPos,
    rows: &[MembershipRow],
    entries_max: Option<usize>,
) -> Result<(UserChanges, HashMap<RoomNid, OwnHistory>, StreamPos), StorageError> {
    let db = reader.sync.db();
    let joined: Vec<RoomNid> =
        rows.iter().filter(|row| is_join(row)).map(|row| row.room_nid).collect();
    let moved: Vec<EventNid> =
        rows.iter().filter(|row| row.pos > since).map(|row| row.event_nid).collect();
    let mut chain: HashMap<RoomNid, OwnHistory> = HashMap::new();
    if !moved.is_empty() {
        for row in db.memberships().list_chain(&moved, since).await? {
            let history = chain.entry(row.room_nid).or_default();
            if row.pos > since {
                history.changes.insert(0, row);
            } else {
                history.at_start = Some(row.membership);
            }
        }
    }
    let (changes, upto) = (db.changes(), reader.upto);
    let (entries, changed) = match entries_max {
        None => changes.list(reader.user_id, &joined, since, upto).await?,
        Some(max) => changes.list_next(reader.user_id, &joined, since, upto, max).await?,
    };
    let upto = match entries.last() {
        Some(last) if entries_max.is_some_and(|max| entries.len() >= max) => last.pos,
        Some(_) | None => upto,
    };
    let mut changed: HashSet<RoomNid> = changed.into_iter().collect();
    let mut by_room: HashMap<RoomNid, Vec<Arc<LogEntry>>> = HashMap::new();
    let (mut own, mut device_lists) = (Vec::new(), Vec::new());
    for entry in entries {
        match &entry.change {
            Change::Receipt { room_nid, .. } | Change::StateReset { room_nid, .. } => {
                changed.insert(*room_nid);
                by_room.entry(*room_nid).or_default().push(entry);
            }
            Change::DeviceList { user_id } => device_lists.push(user_id.clone()),
            // Nothing that a client is told.
            Change::Rewritten { .. } => {}
            Change::Event(_)
            | Change::AccountData { .. }
            | Change::Sessions { .. }
            | Change::Account { .. }
            | Change::Profile { .. }
            | Change::ToDevice { .. }
            | Change::KeyCounts { .. }
            | Change::Signatures { .. }
            | Change::Forgotten { .. }
            | Change::Other { .. } => own.push(entry),
        }
    }
    let rooms = rows
        .iter()
        .filter(|row| row.pos > since || changed.contains(&row.room_nid) && is_join(row))
        .map(|row| (*row, by_room.remove(&row.room_nid).unwrap_or_default()))
        .collect();
    Ok((UserChanges { own, rooms, device_lists }, chain, upto))
}

/// The changes of the user's memberships, from the events in memory. It takes at most one query, for the memberships
/// before them.
async fn histories(
    reader: &Reader<'_>,
    changes: &UserChanges,
) -> Result<HashMap<RoomNid, OwnHistory>, StorageError> {
    let mut histories: HashMap<RoomNid, OwnHistory> = HashMap::new();
    let mut before: HashMap<RoomNid, Option<EventNid>> = HashMap::new();
    for entry in &changes.own {
        if let Change::Event(event) = &entry.change
            && let Some(membership) = event.membership
        {
            before.entry(event.room_nid).or_insert(event.replaces);
            let row = MembershipRow {
                room_nid: event.room_nid,
                membership,
                event_nid: event.nid,
                pos: entry.pos,
                forgotten: false,
            };
            histories.entry(event.room_nid).or_default().changes.push(row);
        }
    }
    let nids: Vec<EventNid> = before.values().flatten().copied().collect();
    if nids.is_empty() {
        return Ok(histories);
    }
    let events = reader.sync.db().events().find_many(&nids).await?;
    for (room_nid, history) in &mut histories {
        let event = before.get(room_nid).copied().flatten().and_then(|nid| events.get(&nid));
        history.at_start = event.and_then(|event| event.membership);
    }
    Ok(histories)
}
