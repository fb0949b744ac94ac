//! What a node keeps in memory for `/sync`: the newest part of the log, and the users who sync.
//!
//! Everything stands under one lock that is held for lookups only. Positions are sampled under it, together with the
//! user's wake-up channel, so that no entry falls between the answer and the wait.

mod hot_user;
mod ring;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use myelin_model::{Event, Membership, RoomNid, StreamPos};
use myelin_storage::{
    Change, EphemeralChange, EphemeralSubscriber, LogEntry, LogSubscriber, MembershipRow,
};
use parking_lot::Mutex;
use ruma::{OwnedUserId, UserId};
use tokio::sync::{mpsc, watch};

pub(crate) use self::hot_user::Personal;
use self::{
    hot_user::{HotUser, UserKey},
    ring::Ring,
};

/// How much the view may keep.
#[derive(Debug, Clone)]
pub struct ViewSettings {
    /// Entries of the log.
    pub entries_max: usize,
    /// The memory of their events, in bytes.
    pub size_bytes_max: usize,
    /// Users whose rooms are kept.
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
    /// Users whose presence changed and whose rooms are not known here.
    strangers: mpsc::Sender<OwnedUserId>,
}

impl std::fmt::Debug for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("View")
            .field("entries", &self.state.lock().ring.len())
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct State {
    ring: Ring,
    keys: HashMap<OwnedUserId, UserKey>,
    users: HashMap<UserKey, HotUser>,
    /// The hot users who are joined to a room: whom its events wake.
    joined: HashMap<RoomNid, HashSet<UserKey>>,
    next_key: u64,
    uses: u64,
}

/// The state of a user at one moment.
pub(crate) struct Sample {
    /// The position at which everything is told.
    pub(crate) upto: StreamPos,
    /// Changes with the position of every entry after `upto` that concerns the user.
    pub(crate) wake: watch::Receiver<StreamPos>,
    /// What happened after the position asked for; `None` when it is older than what is kept here.
    pub(crate) news: Option<News>,
    /// All rooms; only when asked for, or when there is no `news`.
    pub(crate) rooms: Vec<MembershipRow>,
}

/// What happened to a user after some position.
#[derive(Default)]
pub(crate) struct News {
    /// What happened to the user.
    pub(crate) own: Vec<Arc<LogEntry>>,
    /// What happened in rooms that the user is joined to, or whose membership changed.
    pub(crate) rooms: Vec<(MembershipRow, Vec<Arc<LogEntry>>)>,
    /// Whose devices changed, whoever they are.
    pub(crate) device_lists: Vec<OwnedUserId>,
}

impl View {
    pub(crate) fn new(
        start: StreamPos,
        settings: &ViewSettings,
        strangers: mpsc::Sender<OwnedUserId>,
    ) -> Self {
        let ring = Ring::new(start, settings.entries_max, settings.size_bytes_max);
        let state = State {
            ring,
            keys: HashMap::new(),
            users: HashMap::new(),
            joined: HashMap::new(),
            next_key: 0,
            uses: 0,
        };
        Self { state: Mutex::new(state), users_max: settings.users_max, strangers }
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

    /// Keep a user's rooms as they were read at `read_at` or later. `false` if too much has happened since: read again.
    pub(crate) fn add_user(
        &self,
        user_id: &UserId,
        rows: &[MembershipRow],
        read_at: StreamPos,
    ) -> bool {
        let mut state = self.state.lock();
        if state.keys.contains_key(user_id) {
            return true;
        }
        if state.ring.complete_after() > read_at {
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
        let news = since
            .filter(|since| *since >= state.ring.complete_after())
            .map(|since| news(&state.ring, user, since));
        let rooms = if all_rooms || news.is_none() {
            user.rooms.values().copied().collect()
        } else {
            Vec::new()
        };
        Some(Sample { upto, wake, news, rooms })
    }

    /// What happened in a room after a position; `None` when that is older than what is kept here.
    pub(crate) fn room_since(
        &self,
        room_nid: RoomNid,
        since: StreamPos,
    ) -> Option<Vec<Arc<LogEntry>>> {
        let state = self.state.lock();
        (since >= state.ring.complete_after()).then(|| state.ring.room_since(room_nid, since))
    }

    /// The user's membership in a room, if the user is hot and has one.
    pub(crate) fn find_membership(
        &self,
        user_id: &UserId,
        room_nid: RoomNid,
    ) -> Option<MembershipRow> {
        let state = self.state.lock();
        state.users.get(state.keys.get(user_id)?)?.rooms.get(&room_nid).copied()
    }

    /// The rooms that a hot user is joined to.
    pub(crate) fn joined_rooms(&self, user_id: &UserId) -> Vec<RoomNid> {
        let state = self.state.lock();
        let user = state.keys.get(user_id).and_then(|key| state.users.get(key));
        user.map_or_else(Vec::new, |user| user.joined().collect())
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

    /// What is kept of a user's account data, or the version to give to [`View::set_personal`] after reading it.
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

    /// Wake who shares a room with a user. `false` if the user's rooms are not known here.
    pub(crate) fn wake_sharers(&self, user_id: &UserId) -> bool {
        let state = self.state.lock();
        state.wake_sharers(user_id, state.ring.last())
    }

    /// Have a user's rooms read, to wake who shares one. When the queue is full, those who wait hear with their next answer.
    fn meet(&self, user_id: &UserId) {
        drop(self.strangers.try_send(user_id.to_owned()));
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

fn news(ring: &Ring, user: &HotUser, since: StreamPos) -> News {
    let own = ring.user_since(user.user_id(), since);
    // The rooms that changed are few, or the user's rooms are: look through the fewer.
    let mut changed: Vec<RoomNid> = Vec::new();
    let bound = user.rooms.len();
    let mut complete = true;
    for (at, room_nid) in ring.rooms_since(since).enumerate() {
        if at > bound {
            complete = false;
            break;
        }
        if user.is_joined(room_nid) {
            changed.push(room_nid);
        }
    }
    if !complete {
        changed = user.joined().filter(|nid| ring.has_room_changed(*nid, since)).collect();
    }
    for entry in &own {
        if let Change::Event(event) = &entry.change
            && !changed.contains(&event.room_nid)
        {
            changed.push(event.room_nid);
        }
    }
    let rooms = changed
        .into_iter()
        .filter_map(|nid| Some((*user.rooms.get(&nid)?, ring.room_since(nid, since))));
    News { rooms: rooms.collect(), own, device_lists: ring.device_lists_since(since) }
}

impl State {
    fn wake(&self, key: UserKey, pos: StreamPos) {
        if let Some(user) = self.users.get(&key) {
            user.wake(pos);
        }
    }

    /// See [`View::wake_sharers`].
    fn wake_sharers(&self, user_id: &UserId, pos: StreamPos) -> bool {
        let Some(user) = self.keys.get(user_id).and_then(|key| self.users.get(key)) else {
            return false;
        };
        let mut woken = HashSet::new();
        for room_nid in user.joined() {
            woken.extend(self.joined.get(&room_nid).into_iter().flatten().copied());
        }
        for key in woken {
            self.wake(key, pos);
        }
        // A user hears of oneself, too.
        user.wake(pos);
        true
    }

    fn wake_room(&self, room_nid: RoomNid, pos: StreamPos) {
        for key in self.joined.get(&room_nid).into_iter().flatten() {
            self.wake(*key, pos);
        }
    }

    /// Take up what happened to a user.
    fn follow(&mut self, user_id: &UserId, entry: &LogEntry) {
        let Some(key) = self.keys.get(user_id).copied() else { return };
        let Some(user) = self.users.get_mut(&key) else { return };
        user.follow(entry);
        if let Change::Event(event) = &entry.change {
            if user.is_joined(event.room_nid) {
                self.joined.entry(event.room_nid).or_default().insert(key);
            } else {
                self.leave(key, event.room_nid);
            }
        }
        self.wake(key, entry.pos);
    }

    fn leave(&mut self, key: UserKey, room_nid: RoomNid) {
        if let Some(users) = self.joined.get_mut(&room_nid) {
            users.remove(&key);
            if users.is_empty() {
                self.joined.remove(&room_nid);
            }
        }
    }

    fn forget(&mut self, key: UserKey) {
        let Some(user) = self.users.remove(&key) else { return };
        self.keys.remove(user.user_id());
        for room_nid in user.joined() {
            self.leave(key, room_nid);
        }
    }

    /// State resolution may have changed memberships: read the users again who have to do with the room.
    fn forget_users_of(&mut self, room_nid: RoomNid) {
        let keys: Vec<UserKey> = self
            .users
            .iter()
            .filter(|(_, user)| user.rooms.contains_key(&room_nid))
            .map(|(key, _)| *key)
            .collect();
        for key in keys {
            self.forget(key);
        }
    }

    /// Let go of the tenth of the users that synced least recently, when there are too many.
    fn evict(&mut self, users_max: usize) {
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

    fn apply_event(&mut self, entry: &LogEntry, event: &Event) {
        if event.is_visible() {
            self.wake_room(event.room_nid, entry.pos);
        }
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
                Change::StateReset { room_nid, .. } => state.forget_users_of(*room_nid),
                Change::DeviceList { user_id } => {
                    if !state.wake_sharers(user_id, entry.pos) {
                        self.meet(user_id);
                    }
                }
                Change::AccountData { .. }
                | Change::Profile { .. }
                | Change::Forgotten { .. }
                | Change::Sessions { .. }
                | Change::Account { .. }
                | Change::Other => {}
            }
            if let Some(user_id) = ring::user_of(&entry.change) {
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
                    self.meet(user_id);
                }
            }
        }
    }
}

/// Whether a membership means that the user is in the room.
pub(crate) fn is_join(row: &MembershipRow) -> bool {
    row.membership == Membership::Join
}

#[cfg(test)]
mod tests {
    use std::{sync::OnceLock, time::Instant};

    use myelin_model::{EventFlags, EventNid};
    use ruma::{owned_room_id, owned_user_id, user_id};

    use super::*;

    fn view(settings: &ViewSettings) -> View {
        View::new(StreamPos(0), settings, mpsc::channel(1).0)
    }

    fn row(room: i64) -> MembershipRow {
        MembershipRow {
            room_nid: RoomNid(room),
            membership: Membership::Join,
            event_nid: EventNid(room),
            pos: StreamPos(0),
            forgotten: false,
        }
    }

    fn entry(pos: i64, room: i64, own: Option<Membership>) -> Arc<LogEntry> {
        let event = Event {
            nid: EventNid(1_000_000 + pos),
            room_nid: RoomNid(room),
            room_id: owned_room_id!("!r:h"),
            pos: Some(StreamPos(pos)),
            event_id: format!("$e{pos}").try_into().unwrap(),
            event_type: if own.is_some() { "m.room.member" } else { "m.room.message" }.into(),
            state_key: own.map(|_| "@bob:h".into()),
            state_key_nid: None,
            sender: owned_user_id!("@alice:h"),
            origin_server_ts: 0,
            depth: pos,
            membership: own,
            state_before: None,
            state_after: None,
            replaces: None,
            redacts: None,
            redacted_by: None,
            flags: EventFlags::LINEAR,
            notify_ordinal: 0,
            transaction: None,
            json: "{}".into(),
            client_json: OnceLock::new(),
        };
        Arc::new(LogEntry { pos: StreamPos(pos), change: Change::Event(Arc::new(event)) })
    }

    fn apply(view: &View, entries: &[Arc<LogEntry>]) {
        LogSubscriber::apply(view, entries);
    }

    #[test]
    fn news_are_those_of_the_users_rooms() {
        let (view, bob) = (view(&ViewSettings::default()), user_id!("@bob:h"));
        assert!(view.add_user(bob, &[row(1), row(2)], StreamPos(0)));
        let sample = view.sample(bob, None, StreamPos(0), true).unwrap();
        assert_eq!((sample.rooms.len(), sample.wake.has_changed().unwrap()), (2, false));
        apply(&view, &[entry(1, 2, None), entry(2, 9, None), entry(3, 2, None)]);
        assert!(sample.wake.has_changed().unwrap());
        let sample = view.sample(bob, Some(StreamPos(0)), StreamPos(0), false).unwrap();
        let rooms = sample.news.unwrap().rooms;
        assert_eq!((sample.upto, rooms.len(), rooms[0].1.len()), (StreamPos(3), 1, 2));

        apply(&view, &[entry(4, 9, None)]);
        assert!(!sample.wake.has_changed().unwrap(), "others' rooms wake nobody");
        apply(&view, &[entry(5, 9, Some(Membership::Join))]);
        assert!(sample.wake.has_changed().unwrap(), "joining does");
        let sample = view.sample(bob, Some(StreamPos(3)), StreamPos(0), false).unwrap();
        let rooms = sample.news.unwrap().rooms;
        assert_eq!((rooms[0].0.room_nid, rooms[0].1.len()), (RoomNid(9), 2));
        apply(&view, &[entry(6, 9, Some(Membership::Leave))]);
        assert!(sample.wake.has_changed().unwrap(), "so does leaving");
        let sample = view.sample(bob, Some(StreamPos(6)), StreamPos(0), false).unwrap();
        apply(&view, &[entry(7, 9, None)]);
        assert!(!sample.wake.has_changed().unwrap());
    }

    #[test]
    fn what_is_too_old_is_said_to_be_unknown() {
        let settings = ViewSettings { entries_max: 3, ..ViewSettings::default() };
        let (view, bob) = (view(&settings), user_id!("@bob:h"));
        view.add_user(bob, &[row(1)], StreamPos(0));
        for pos in 1..=9 {
            apply(&view, &[entry(pos, pos % 2, None)]);
        }
        let news =
            |since| view.sample(bob, Some(StreamPos(since)), StreamPos(0), false).unwrap().news;
        assert!(news(5).is_none());
        assert_eq!(news(6).unwrap().rooms[0].1.len(), 2);
        assert!(view.room_since(RoomNid(1), StreamPos(5)).is_none());
        assert!(!view.add_user(user_id!("@late:h"), &[], StreamPos(2)), "read again");
    }

    #[test]
    fn memberships_that_changed_while_they_were_read_are_followed() {
        let (view, bob) = (view(&ViewSettings::default()), user_id!("@bob:h"));
        apply(&view, &[entry(1, 5, Some(Membership::Join)), entry(2, 1, Some(Membership::Leave))]);
        // Read before the two, kept after them.
        assert!(view.add_user(bob, &[row(1)], StreamPos(0)));
        assert_eq!(view.joined_rooms(bob), [RoomNid(5)]);
    }

    #[test]
    fn many_quiet_rooms_cost_no_more_than_few() {
        let time = |rooms: i64| {
            let (view, bob) = (view(&ViewSettings::default()), user_id!("@bob:h"));
            let rows: Vec<_> = (1..=rooms).map(row).collect();
            view.add_user(bob, &rows, StreamPos(0));
            apply(&view, &[entry(1, 3, None)]);
            let started = Instant::now();
            for _ in 0..2_000 {
                let sample = view.sample(bob, Some(StreamPos(0)), StreamPos(0), false).unwrap();
                assert_eq!(sample.news.unwrap().rooms.len(), 1);
            }
            started.elapsed()
        };
        let (few, many) = (time(10).max(time(10)), time(1_000).min(time(1_000)));
        assert!(many < few * 5, "{few:?} for 10 rooms, {many:?} for 1,000");
    }
}
