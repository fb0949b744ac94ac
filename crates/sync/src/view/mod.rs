//! The memory of a node for `/sync`: the newest part of the log, and the users who sync.
//!
//! Everything stands under one lock that is held for lookups only. Positions are sampled under it, together with the
//! user's wake-up channel, so that no entry falls between the answer and the wait.

mod hot_user;
mod ring;
mod state;
#[cfg(test)]
mod tests;

use std::{collections::HashMap, sync::Arc};

use myelin_model::{Membership, RoomNid, StreamPos};
use myelin_storage::{
    Change, EphemeralChange, EphemeralSubscriber, HotUserRows, LogEntry, LogSubscriber,
    MembershipRow, e2ee::KeyCountsByDevice,
};
use parking_lot::Mutex;
use ruma::{DeviceId, OwnedUserId, UserId};
use tokio::sync::{mpsc, watch};

pub(crate) use self::hot_user::Personal;
use self::{
    hot_user::{HotUser, UserKey},
    ring::{Audience, Ring},
    state::{State, changes},
};

/// The limits of what the view keeps.
#[derive(Debug, Clone)]
pub struct ViewSettings {
    /// The number of entries of the log.
    pub entries_max: usize,
    /// The memory of their events, in bytes.
    pub size_bytes_max: usize,
    /// The number of users whose rooms are kept.
    pub users_max: usize,
}

impl Default for ViewSettings {
    fn default() -> Self {
        Self { entries_max: 20_000, size_bytes_max: 24 * 1024 * 1024, users_max: 10_000 }
    }
}

/// The view.
pub(crate) struct View {
    state: Mutex<State>,
    users_max: usize,
    /// Users of whom something changed, and whose rooms are to be read to wake who shares one.
    cold_users: mpsc::Sender<OwnedUserId>,
}

impl std::fmt::Debug for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("View")
            .field("entries", &self.state.lock().ring.len())
            .finish_non_exhaustive()
    }
}

/// A user's rooms are not known here: they must be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotHot;

/// The state of a user at one moment.
pub(crate) struct Sample {
    /// The position at which everything is told.
    pub(crate) upto: StreamPos,
    /// Changes with the position of every entry after `upto` that concerns the user.
    pub(crate) wake: watch::Receiver<StreamPos>,
    /// The changes after the position asked for. `None` when that is older than what is kept here.
    pub(crate) changes: Option<UserChanges>,
    /// All rooms; only when asked for, or when there is no `changes`.
    pub(crate) rooms: Vec<MembershipRow>,
}

/// The changes that concern a user after some position.
#[derive(Default)]
pub(crate) struct UserChanges {
    /// The changes of the user's own data and memberships, oldest first.
    pub(crate) own: Vec<Arc<LogEntry>>,
    /// The changes in rooms that the user is joined to, or whose membership changed.
    pub(crate) rooms: Vec<(MembershipRow, Vec<Arc<LogEntry>>)>,
    /// The users whose devices changed, whoever they are.
    pub(crate) device_lists: Vec<OwnedUserId>,
}

impl View {
    pub(crate) fn new(
        start: StreamPos,
        settings: &ViewSettings,
        cold_users: mpsc::Sender<OwnedUserId>,
    ) -> Self {
        let ring = Ring::new(start, settings.entries_max, settings.size_bytes_max);
        let state = State {
            ring,
            keys: HashMap::new(),
            users: HashMap::new(),
            joined: HashMap::new(),
            peeked: HashMap::new(),
            next_key: 0,
            uses: 0,
        };
        Self { state: Mutex::new(state), users_max: settings.users_max, cold_users }
    }

    /// Know nothing of what stands before and at `start`.
    pub(crate) fn start_at(&self, start: StreamPos) {
        self.state.lock().ring.start_at(start);
    }

    /// The position of the newest entry here: where to start from before reading a user's rooms.
    pub(crate) fn last(&self) -> StreamPos {
        self.state.lock().ring.last()
    }

    /// Whether a user's rooms are known here.
    pub(crate) fn is_hot(&self, user_id: &UserId) -> bool {
        self.state.lock().keys.contains_key(user_id)
    }

    /// Keep a user's rooms and counts of keys as they were read at `read_at` or later. `false` if too much has happened since: read again.
    pub(crate) fn add_user(&self, user_id: &UserId, rows: HotUserRows, read_at: StreamPos) -> bool {
        let mut state = self.state.lock();
        if state.keys.contains_key(user_id) {
            return true;
        }
        if state.ring.complete_after() > read_at {
            return false;
        }
        // Memberships may have changed in a way that no member event tells of.
        if state.ring.entries_since(read_at).any(|entry| is_unclear(&entry.change, user_id)) {
            return false;
        }
        let key = UserKey(state.next_key);
        state.next_key += 1;
        state.uses += 1;
        let mut user = HotUser::new(user_id.to_owned(), rows, state.ring.last(), state.uses);
        for entry in state.ring.user_since(user_id, read_at) {
            user.follow(&entry);
        }
        for room_nid in user.joined() {
            state.joined.entry(room_nid).or_default().insert(key);
        }
        state.keys.insert(user_id.to_owned(), key);
        state.users.insert(key, user);
        state.evict(self.users_max);
        true
    }

    /// A user at this moment, with what happened after `since`. `None` if the user is not hot (any more).
    ///
    /// `least` is a position that is known to be applied on this node.
    pub(crate) fn sample(
        &self,
        user_id: &UserId,
        since: Option<StreamPos>,
        least: StreamPos,
        all_rooms: bool,
    ) -> Option<Sample> {
        let mut state = self.state.lock();
        let key = *state.keys.get(user_id)?;
        state.uses += 1;
        let uses = state.uses;
        let state = &mut *state;
        let user = state.users.get_mut(&key)?;
        user.used = uses;
        let wake = user.wake.subscribe();
        let upto = state.ring.last().max(least);
        let user_changes = since
            .filter(|since| *since >= state.ring.complete_after())
            .map(|since| changes(&state.ring, user, since));
        let rooms = if all_rooms || user_changes.is_none() {
            user.rooms.values().copied().collect()
        } else {
            Vec::new()
        };
        Some(Sample { upto, wake, changes: user_changes, rooms })
    }

    /// The changes in a room after a position. `None` when that is older than what is kept here.
    pub(crate) fn room_since(
        &self,
        room_nid: RoomNid,
        since: StreamPos,
    ) -> Option<Vec<Arc<LogEntry>>> {
        let state = self.state.lock();
        (since >= state.ring.complete_after()).then(|| state.ring.room_since(room_nid, since))
    }

    /// The first changes in a room after a position, at most `entries_max`. `None` when that is older than what is kept here.
    pub(crate) fn room_next(
        &self,
        room_nid: RoomNid,
        since: StreamPos,
        entries_max: usize,
    ) -> Option<Vec<Arc<LogEntry>>> {
        let state = self.state.lock();
        (since >= state.ring.complete_after())
            .then(|| state.ring.room_next(room_nid, since, entries_max))
    }

    /// A wake-up for a user who looks into a room from outside: changes with the position of every entry after now.
    pub(crate) fn watch_room(&self, room_nid: RoomNid) -> watch::Receiver<StreamPos> {
        let mut state = self.state.lock();
        let last = state.ring.last();
        state.peeked.retain(|_, wake| wake.receiver_count() > 0);
        state.peeked.entry(room_nid).or_insert_with(|| watch::Sender::new(last)).subscribe()
    }

    /// The user's membership in a room, if there is one.
    pub(crate) fn find_membership(
        &self,
        user_id: &UserId,
        room_nid: RoomNid,
    ) -> Result<Option<MembershipRow>, NotHot> {
        let state = self.state.lock();
        Ok(state.find_user(user_id)?.rooms.get(&room_nid).copied())
    }

    /// The rooms that a user is joined to.
    pub(crate) fn joined_rooms(&self, user_id: &UserId) -> Result<Vec<RoomNid>, NotHot> {
        let state = self.state.lock();
        Ok(state.find_user(user_id)?.joined().collect())
    }

    /// Whether two users are joined to one room. `None` if one of them is not hot.
    pub(crate) fn share_room(&self, one: &UserId, other: &UserId) -> Option<bool> {
        let state = self.state.lock();
        let one = state.users.get(state.keys.get(one)?)?;
        let other = state.users.get(state.keys.get(other)?)?;
        let (few, many) =
            if one.rooms.len() < other.rooms.len() { (one, other) } else { (other, one) };
        Some(few.joined().any(|room_nid| many.is_joined(room_nid)))
    }

    /// The kept part of a user's account data, or the version to give to [`View::set_personal`] after reading it.
    pub(crate) fn find_personal(&self, user_id: &UserId) -> Result<Arc<Personal>, u64> {
        let state = self.state.lock();
        let Some(user) = state.keys.get(user_id).and_then(|key| state.users.get(key)) else {
            return Err(u64::MAX);
        };
        user.personal.clone().ok_or(user.personal_version)
    }

    /// Keep what was read of a user's account data, unless it changed meanwhile.
    pub(crate) fn set_personal(&self, user_id: &UserId, version: u64, personal: &Arc<Personal>) {
        let mut state = self.state.lock();
        let state = &mut *state;
        if let Some(user) = state.keys.get(user_id).and_then(|key| state.users.get_mut(key))
            && user.personal_version == version
        {
            user.personal = Some(Arc::clone(personal));
        }
    }

    /// Whether messages may wait for a user's device. Of a user who is not hot that is not known.
    pub(crate) fn has_messages(&self, user_id: &UserId, device_id: &DeviceId) -> bool {
        let state = self.state.lock();
        state.find_user(user_id).map_or(true, |user| user.has_messages(device_id))
    }

    /// No message waits for a user's device up to a position that this node has applied.
    pub(crate) fn set_no_messages(&self, user_id: &UserId, device_id: &DeviceId, upto: StreamPos) {
        let mut state = self.state.lock();
        let state = &mut *state;
        if let Some(user) = state.keys.get(user_id).and_then(|key| state.users.get_mut(key)) {
            user.set_no_messages(device_id, upto);
        }
    }

    /// The keys that a user's devices have left, or the version to give to [`View::set_key_counts`] after reading them.
    pub(crate) fn find_key_counts(&self, user_id: &UserId) -> Result<Arc<KeyCountsByDevice>, u64> {
        let state = self.state.lock();
        let Ok(user) = state.find_user(user_id) else { return Err(u64::MAX) };
        user.key_counts.clone().ok_or(user.key_counts_version)
    }

    /// Keep what was read of a user's keys, unless they changed meanwhile.
    pub(crate) fn set_key_counts(
        &self,
        user_id: &UserId,
        version: u64,
        counts: &Arc<KeyCountsByDevice>,
    ) {
        let mut state = self.state.lock();
        let state = &mut *state;
        if let Some(user) = state.keys.get(user_id).and_then(|key| state.users.get_mut(key))
            && user.key_counts_version == version
        {
            user.key_counts = Some(Arc::clone(counts));
        }
    }

    /// Wake who shares a room with a user. `false` if the user's rooms are not known here.
    pub(crate) fn wake_sharers(&self, user_id: &UserId) -> bool {
        let state = self.state.lock();
        state.wake_sharers(user_id, state.ring.last())
    }

    /// Have a user's rooms read, to wake those who share one. When the queue is full, they hear with their next answer.
    fn wake_sharers_later(&self, user_id: &UserId) {
        drop(self.cold_users.try_send(user_id.to_owned()));
    }

    fn wake_room(&self, room_nid: RoomNid) {
        let state = self.state.lock();
        state.wake_room(room_nid, state.ring.last());
    }

    /// Tell how much is kept.
    fn record_sizes(state: &State) {
        metrics::gauge!("myelin_sync_ring_entries").set(state.ring.len() as f64);
        metrics::gauge!("myelin_sync_ring_size_bytes").set(state.ring.size_bytes() as f64);
        metrics::gauge!("myelin_sync_hot_users").set(state.users.len() as f64);
    }
}
impl LogSubscriber for View {
    fn apply(&self, entries: &[Arc<LogEntry>]) {
        let mut state = self.state.lock();
        for entry in entries {
            state.ring.push(entry);
            match &entry.change {
                Change::Event(event) => state.apply_event(entry, event),
                Change::Receipt { room_nid, user_id, receipt_type, .. } => {
                    if &**receipt_type == "m.read.private" {
                        if let Some(key) = state.keys.get(user_id).copied() {
                            state.wake(key, entry.pos);
                        }
                    } else {
                        state.wake_room(*room_nid, entry.pos);
                    }
                }
                Change::StateReset { room_nid, .. } => state.forget_users_of(*room_nid, entry.pos),
                Change::DeviceList { user_id } => {
                    if !state.wake_sharers(user_id, entry.pos) {
                        self.wake_sharers_later(user_id);
                    }
                }
                Change::Other { room_nid, user_id } => {
                    state.forget_concerned(*room_nid, user_id.as_deref(), entry.pos);
                }
                Change::AccountData { .. }
                | Change::Profile { .. }
                | Change::ToDevice { .. }
                | Change::KeyCounts { .. }
                | Change::Signatures { .. }
                | Change::Rewritten { .. }
                | Change::Forgotten { .. }
                | Change::Sessions { .. }
                | Change::Account { .. } => {}
            }
            if let Some(user_id) = Audience::of(&entry.change).user_id {
                state.follow(&user_id, entry);
            }
        }
        Self::record_sizes(&state);
    }
}

impl EphemeralSubscriber for View {
    fn apply(&self, _stamp: u64, change: &EphemeralChange) {
        match change {
            EphemeralChange::Typing(room_nid) => self.wake_room(*room_nid),
            EphemeralChange::Presence(user_id) => {
                if !self.wake_sharers(user_id) {
                    self.wake_sharers_later(user_id);
                }
            }
        }
    }
}

/// Whether memberships of a user may be others after a change, without a member event of the user's.
fn is_unclear(change: &Change, user_id: &UserId) -> bool {
    match change {
        Change::StateReset { .. } => true,
        Change::Other { room_nid, user_id: concerned } => {
            room_nid.is_some() || concerned.as_ref().is_none_or(|concerned| concerned == user_id)
        }
        Change::Event(_)
        | Change::Receipt { .. }
        | Change::DeviceList { .. }
        | Change::ToDevice { .. }
        | Change::KeyCounts { .. }
        | Change::Signatures { .. }
        | Change::AccountData { .. }
        | Change::Profile { .. }
        | Change::Rewritten { .. }
        | Change::Forgotten { .. }
        | Change::Sessions { .. }
        | Change::Account { .. } => false,
    }
}

/// Whether a membership means that the user is in the room.
pub(crate) fn is_join(row: &MembershipRow) -> bool {
    row.membership == Membership::Join
}
