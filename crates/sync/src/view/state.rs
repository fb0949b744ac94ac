//! The contents of a view, under its lock: the newest part of the log, the hot users, and those whom a room wakes.

use std::collections::{HashMap, HashSet};

use myelin_model::{Event, RoomNid, StreamPos};
use myelin_storage::{Change, LogEntry};
use ruma::{OwnedUserId, UserId};
use tokio::sync::watch;

use super::{
    NotHot, UserChanges,
    hot_user::{HotUser, UserKey},
    ring::Ring,
};

#[derive(Debug)]
pub(super) struct State {
    pub(super) ring: Ring,
    pub(super) keys: HashMap<OwnedUserId, UserKey>,
    pub(super) users: HashMap<UserKey, HotUser>,
    /// The hot users who are joined to a room: whom its events wake.
    pub(super) joined: HashMap<RoomNid, HashSet<UserKey>>,
    /// The wake-ups of requests that look into rooms from outside, by room.
    pub(super) peeked: HashMap<RoomNid, watch::Sender<StreamPos>>,
    pub(super) next_key: u64,
    pub(super) uses: u64,
}

impl State {
    pub(super) fn wake(&self, key: UserKey, pos: StreamPos) {
        if let Some(user) = self.users.get(&key) {
            user.wake(pos);
        }
    }

    /// Wake who shares a room with a user. `false` if the user's rooms are not known here.
    pub(super) fn wake_sharers(&self, user_id: &UserId, pos: StreamPos) -> bool {
        let Some(user) = self.keys.get(user_id).and_then(|key| self.users.get(key)) else {
            return false;
        };
        let mut woken = HashSet::new();
        for room_nid in user.joined() {
            woken.extend(self.joined.get(&room_nid).into_iter().flatten().copied());
            self.wake_peekers(room_nid, pos);
        }
        for key in woken {
            self.wake(key, pos);
        }
        // A user hears of oneself, too.
        user.wake(pos);
        true
    }

    pub(super) fn wake_room(&self, room_nid: RoomNid, pos: StreamPos) {
        for key in self.joined.get(&room_nid).into_iter().flatten() {
            self.wake(*key, pos);
        }
        self.wake_peekers(room_nid, pos);
    }

    /// Wake who looks into a room from outside.
    fn wake_peekers(&self, room_nid: RoomNid, pos: StreamPos) {
        if let Some(wake) = self.peeked.get(&room_nid) {
            wake.send_replace(pos);
        }
    }

    pub(super) fn find_user(&self, user_id: &UserId) -> Result<&HotUser, NotHot> {
        self.keys.get(user_id).and_then(|key| self.users.get(key)).ok_or(NotHot)
    }

    /// Take up what happened to a user.
    pub(super) fn follow(&mut self, user_id: &UserId, entry: &LogEntry) {
        let Some(key) = self.keys.get(user_id).copied() else { return };
        let Some(user) = self.users.get_mut(&key) else { return };
        user.follow(entry);
        match &entry.change {
            Change::Event(event) if user.is_joined(event.room_nid) => {
                self.joined.entry(event.room_nid).or_default().insert(key);
            }
            Change::Event(event) => self.leave(key, event.room_nid),
            // They stand in every answer, and none is given because of them.
            Change::KeyCounts { .. } => return,
            // Whom an unknown entry or a reset may concern was forgotten before.
            Change::StateReset { .. }
            | Change::Receipt { .. }
            | Change::AccountData { .. }
            | Change::Sessions { .. }
            | Change::Account { .. }
            | Change::Profile { .. }
            | Change::DeviceList { .. }
            | Change::ToDevice { .. }
            | Change::Signatures { .. }
            | Change::Rewritten { .. }
            | Change::Forgotten { .. }
            | Change::Other { .. } => {}
        }
        self.wake(key, entry.pos);
    }

    pub(super) fn leave(&mut self, key: UserKey, room_nid: RoomNid) {
        if let Some(users) = self.joined.get_mut(&room_nid) {
            users.remove(&key);
            if users.is_empty() {
                self.joined.remove(&room_nid);
            }
        }
    }

    pub(super) fn forget(&mut self, key: UserKey) {
        let Some(user) = self.users.remove(&key) else { return };
        self.keys.remove(user.user_id());
        for room_nid in user.joined() {
            self.leave(key, room_nid);
        }
    }

    /// State resolution may have changed memberships: read the users again who have to do with the room. Those who look into it from
    /// outside look again, too.
    pub(super) fn forget_users_of(&mut self, room_nid: RoomNid, pos: StreamPos) {
        let keys: Vec<UserKey> = self
            .users
            .iter()
            .filter(|(_, user)| user.rooms.contains_key(&room_nid))
            .map(|(key, _)| *key)
            .collect();
        for key in keys {
            self.forget(key);
        }
        self.wake_peekers(room_nid, pos);
    }

    /// Forget the users who have to do with a room or a user, or all users if neither is named. Something happened to
    /// them that this version does not know, so they are read again.
    pub(super) fn forget_concerned(
        &mut self,
        room_nid: Option<RoomNid>,
        user_id: Option<&UserId>,
        pos: StreamPos,
    ) {
        if let Some(room_nid) = room_nid {
            self.forget_users_of(room_nid, pos);
        }
        if let Some(key) = user_id.and_then(|user_id| self.keys.get(user_id).copied()) {
            self.forget(key);
        }
        if room_nid.is_none() && user_id.is_none() {
            self.users.clear();
            self.keys.clear();
            self.joined.clear();
            for wake in self.peeked.values() {
                wake.send_replace(pos);
            }
        }
    }

    /// Let go of the tenth of the users that synced least recently, when there are too many.
    pub(super) fn evict(&mut self, users_max: usize) {
        if self.users.len() <= users_max {
            return;
        }
        let mut idle: Vec<(u64, UserKey)> = self
            .users
            .iter()
            .filter(|(_, user)| !user.is_waiting())
            .map(|(key, user)| (user.used, *key))
            .collect();
        idle.sort_unstable();
        for (_, key) in idle.into_iter().take(users_max / 10 + 1) {
            self.forget(key);
        }
    }

    pub(super) fn apply_event(&mut self, entry: &LogEntry, event: &Event) {
        if event.is_visible() {
            self.wake_room(event.room_nid, entry.pos);
        }
    }
}

/// The changes that concern a user after a position that is still kept.
pub(super) fn changes(ring: &Ring, user: &HotUser, since: StreamPos) -> UserChanges {
    let own = ring.user_since(user.user_id(), since);
    let changed = changed_rooms(ring, since, user.rooms.len(), |nid| user.is_joined(nid));
    let mut changed = changed.unwrap_or_else(|| {
        user.joined().filter(|nid| ring.has_room_changed(*nid, since)).collect()
    });
    for entry in &own {
        if let Some(event) = entry.change.as_event()
            && !changed.contains(&event.room_nid)
        {
            changed.push(event.room_nid);
        }
    }
    let rooms = changed
        .into_iter()
        .filter_map(|nid| Some((*user.rooms.get(&nid)?, ring.room_since(nid, since))));
    UserChanges { rooms: rooms.collect(), own, device_lists: ring.device_lists_since(since) }
}

/// The rooms that changed after a position and that are `wanted`; `None` if more than `looks_max` rooms changed, so that it
/// is less work to look through the user's own.
pub(super) fn changed_rooms(
    ring: &Ring,
    since: StreamPos,
    looks_max: usize,
    mut wanted: impl FnMut(RoomNid) -> bool,
) -> Option<Vec<RoomNid>> {
    let mut changed = Vec::new();
    for (at, room_nid) in ring.rooms_since(since).enumerate() {
        if at > looks_max {
            return None;
        }
        if wanted(room_nid) {
            changed.push(room_nid);
        }
    }
    Some(changed)
}
