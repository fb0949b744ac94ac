//! The newest entries of the log, by room and by user.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
};

use myelin_model::{Event, RoomNid, StreamPos};
use myelin_storage::{Change, LogEntry};
use ruma::{OwnedUserId, UserId};

/// The memory that an entry takes besides its event, in bytes.
const ENTRY_SIZE_BYTES: usize = 200;

/// All entries of the log after some position, bounded. Nothing is loaded: who asks for what is older must ask the database.
#[derive(Debug)]
pub(super) struct Ring {
    entries: VecDeque<Arc<LogEntry>>,
    size_bytes: usize,
    complete_after: StreamPos,
    last: StreamPos,
    rooms: HashMap<RoomNid, VecDeque<Arc<LogEntry>>>,
    rooms_by_last: BTreeMap<StreamPos, RoomNid>,
    users: HashMap<OwnedUserId, VecDeque<Arc<LogEntry>>>,
    /// The users whose devices changed, oldest first.
    device_lists: VecDeque<(StreamPos, OwnedUserId)>,
    entries_max: usize,
    size_bytes_max: usize,
}

impl Ring {
    /// A ring that knows nothing of what stands before and at `start`.
    pub(super) fn new(start: StreamPos, entries_max: usize, size_bytes_max: usize) -> Self {
        Self {
            entries: VecDeque::new(),
            size_bytes: 0,
            complete_after: start,
            last: start,
            rooms: HashMap::new(),
            rooms_by_last: BTreeMap::new(),
            users: HashMap::new(),
            device_lists: VecDeque::new(),
            entries_max,
            size_bytes_max,
        }
    }

    /// Know nothing of what stands before and at `start`.
    pub(super) fn start_at(&mut self, start: StreamPos) {
        while self.entries.front().is_some_and(|entry| entry.pos <= start) {
            self.pop();
        }
        self.complete_after = self.complete_after.max(start);
        self.last = self.last.max(start);
    }

    /// Every entry after this position is here.
    pub(super) fn complete_after(&self) -> StreamPos {
        self.complete_after
    }

    /// The newest entry.
    pub(super) fn last(&self) -> StreamPos {
        self.last
    }

    /// The number of entries.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The memory of the events, in bytes.
    pub(super) fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    /// Add the next entry of the log.
    pub(super) fn push(&mut self, entry: &Arc<LogEntry>) {
        if entry.pos <= self.last {
            return;
        }
        self.last = entry.pos;
        let audience = Audience::of(&entry.change);
        if let Some(room_nid) = audience.room_nid {
            let room = self.rooms.entry(room_nid).or_default();
            if let Some(before) = room.back() {
                self.rooms_by_last.remove(&before.pos);
            }
            room.push_back(Arc::clone(entry));
            self.rooms_by_last.insert(entry.pos, room_nid);
        }
        if let Some(user_id) = audience.user_id {
            self.users.entry(user_id).or_default().push_back(Arc::clone(entry));
        }
        if let Some(user_id) = device_list_of(&entry.change) {
            self.device_lists.push_back((entry.pos, user_id.clone()));
        }
        self.size_bytes += size_bytes(entry);
        self.entries.push_back(Arc::clone(entry));
        while self.entries.len() > self.entries_max || self.size_bytes > self.size_bytes_max {
            self.pop();
        }
    }

    fn pop(&mut self) {
        let Some(entry) = self.entries.pop_front() else { return };
        self.complete_after = entry.pos;
        self.size_bytes = self.size_bytes.saturating_sub(size_bytes(&entry));
        if device_list_of(&entry.change).is_some() {
            self.device_lists.pop_front();
        }
        let audience = Audience::of(&entry.change);
        if let Some(room_nid) = audience.room_nid
            && let Some(room) = self.rooms.get_mut(&room_nid)
        {
            room.pop_front();
            if room.is_empty() {
                self.rooms.remove(&room_nid);
                self.rooms_by_last.remove(&entry.pos);
            }
        }
        if let Some(user_id) = audience.user_id
            && let Some(user) = self.users.get_mut(&user_id)
        {
            user.pop_front();
            if user.is_empty() {
                self.users.remove(&user_id);
            }
        }
    }

    /// The changes in a room after a position: events, resets and receipts, oldest first.
    pub(super) fn room_since(&self, room_nid: RoomNid, since: StreamPos) -> Vec<Arc<LogEntry>> {
        self.room_next(room_nid, since, usize::MAX)
    }

    /// The first of the changes in a room after a position.
    pub(super) fn room_next(
        &self,
        room_nid: RoomNid,
        since: StreamPos,
        entries_max: usize,
    ) -> Vec<Arc<LogEntry>> {
        let entries = self.rooms.get(&room_nid);
        entries.map_or_else(Vec::new, |entries| since_in(entries, since, entries_max))
    }

    /// Whether anything happened in a room after a position.
    pub(super) fn has_room_changed(&self, room_nid: RoomNid, since: StreamPos) -> bool {
        let last = self.rooms.get(&room_nid).and_then(VecDeque::back);
        last.is_some_and(|entry| entry.pos > since)
    }

    /// The changes that concern a user alone after a position, oldest first.
    pub(super) fn user_since(&self, user_id: &UserId, since: StreamPos) -> Vec<Arc<LogEntry>> {
        let entries = self.users.get(user_id);
        entries.map_or_else(Vec::new, |entries| since_in(entries, since, usize::MAX))
    }

    /// Everything that happened after a position, oldest first.
    pub(super) fn entries_since(&self, since: StreamPos) -> impl Iterator<Item = &Arc<LogEntry>> {
        let first = self.entries.partition_point(|entry| entry.pos <= since);
        self.entries.range(first..)
    }

    /// The users whose devices changed after a position.
    pub(super) fn device_lists_since(&self, since: StreamPos) -> Vec<OwnedUserId> {
        let first = self.device_lists.partition_point(|(pos, _)| *pos <= since);
        self.device_lists.range(first..).map(|(_, user_id)| user_id.clone()).collect()
    }

    /// The rooms in which anything happened after a position, those of the newest entries first.
    pub(super) fn rooms_since(&self, since: StreamPos) -> impl Iterator<Item = RoomNid> {
        self.rooms_by_last.range(since.next()..).rev().map(|(_, room_nid)| *room_nid)
    }
}

fn since_in(
    entries: &VecDeque<Arc<LogEntry>>,
    since: StreamPos,
    entries_max: usize,
) -> Vec<Arc<LogEntry>> {
    let first = entries.partition_point(|entry| entry.pos <= since);
    entries.range(first..).take(entries_max).cloned().collect()
}

fn size_bytes(entry: &LogEntry) -> usize {
    let content = match &entry.change {
        Change::Event(event) => event.size_bytes(),
        Change::AccountData { content, .. } => content.get().len(),
        Change::ToDevice { device_ids, .. } => {
            device_ids.iter().map(|device_id| device_id.as_str().len()).sum()
        }
        Change::Signatures { signed, .. } => signed.iter().map(|id| id.as_str().len()).sum(),
        Change::Rewritten { event_nids, .. } => size_of_val(&**event_nids),
        Change::StateReset { .. }
        | Change::Receipt { .. }
        | Change::Sessions { .. }
        | Change::Account { .. }
        | Change::Profile { .. }
        | Change::DeviceList { .. }
        | Change::KeyCounts { .. }
        | Change::Forgotten { .. }
        | Change::Other { .. } => 0,
    };
    ENTRY_SIZE_BYTES + content
}

/// The users whom an entry concerns.
#[derive(Debug, Default)]
pub(super) struct Audience {
    /// The members of this room.
    room_nid: Option<RoomNid>,
    /// This user, beyond the rooms that the user is in.
    pub(super) user_id: Option<OwnedUserId>,
}

impl Audience {
    pub(super) fn of(change: &Change) -> Self {
        let room = |room_nid: RoomNid| Self { room_nid: Some(room_nid), user_id: None };
        let user = |user_id: &OwnedUserId| Self { room_nid: None, user_id: Some(user_id.clone()) };
        match change {
            Change::Event(event) => Self { room_nid: Some(event.room_nid), user_id: member(event) },
            Change::StateReset { room_nid, .. } | Change::Receipt { room_nid, .. } => {
                room(*room_nid)
            }
            Change::AccountData { user_id, .. }
            | Change::Profile { user_id }
            | Change::DeviceList { user_id }
            | Change::ToDevice { user_id, .. }
            | Change::KeyCounts { user_id }
            | Change::Signatures { user_id, .. }
            | Change::Forgotten { user_id, .. } => user(user_id),
            // Nothing that a client is told.
            Change::Sessions { .. } | Change::Account { .. } | Change::Rewritten { .. } => {
                Self::default()
            }
            Change::Other { room_nid, user_id } => {
                Self { room_nid: *room_nid, user_id: user_id.clone() }
            }
        }
    }
}

/// The user whose membership an event changes.
fn member(event: &Event) -> Option<OwnedUserId> {
    let state_key = event.state_key.as_deref()?;
    let is_member = event.membership.is_some() && event.is_visible();
    is_member.then(|| OwnedUserId::try_from(state_key).ok()).flatten()
}

/// The user whose device list changed.
fn device_list_of(change: &Change) -> Option<&OwnedUserId> {
    match change {
        Change::DeviceList { user_id } => Some(user_id),
        Change::Event(_)
        | Change::StateReset { .. }
        | Change::Receipt { .. }
        | Change::AccountData { .. }
        | Change::Sessions { .. }
        | Change::Account { .. }
        | Change::Profile { .. }
        | Change::ToDevice { .. }
        | Change::KeyCounts { .. }
        | Change::Signatures { .. }
        | Change::Rewritten { .. }
        | Change::Forgotten { .. }
        | Change::Other { .. } => None,
    }
}
