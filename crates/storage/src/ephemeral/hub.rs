//! The knowledge of a node about typing and presence, and the subscribers that hear of changes.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
    time::Duration,
};

use myelin_model::{Clock, Membership, RoomNid};
use parking_lot::{Mutex, RwLock};
use ruma::{OwnedUserId, UserId};
use sqlx::PgPool;
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    presence::{Presence, PresenceState, PresenceTimers, Presences, Syncing},
    tasks,
    typing::TypingRooms,
    wire::{Packet, Update},
};
use crate::{
    StorageError,
    log::{Change, LogEntry, LogSubscriber},
};

/// The time after their last change for which rooms are remembered in which nobody types, in milliseconds. Clients
/// whose token is older have long let go of who typed then.
const TYPING_REMEMBERED_MILLIS: u64 = 3_600_000;

/// An ephemeral change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EphemeralChange {
    /// The set of users who type in a room changed.
    Typing(RoomNid),
    /// The presence of a user changed.
    Presence(OwnedUserId),
}

/// The changes after some stamp, each thing once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EphemeralChanges {
    /// The stamp of the newest change there is on this node: the one to ask with next time. No later change will have it or a
    /// smaller one.
    pub stamp: u64,
    /// The rooms in which the set of users who type changed.
    pub typing: Vec<RoomNid>,
    /// The users whose presence changed.
    pub presence: Vec<OwnedUserId>,
}

/// A part of this node that hears of every ephemeral change.
pub trait EphemeralSubscriber: Send + Sync + 'static {
    /// A change that can be read from the hub now. Must be quick and must not block.
    fn apply(&self, stamp: u64, change: &EphemeralChange);
}

/// Typing and presence. It is cheap to clone.
#[derive(Debug, Clone)]
pub struct Ephemeral {
    inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) node: u64,
    pub(super) clock: Arc<dyn Clock>,
    presence_enabled: bool,
    pub(super) state: Mutex<State>,
    subscribers: RwLock<Vec<Arc<dyn EphemeralSubscriber>>>,
    stamp: watch::Sender<u64>,
    outgoing: mpsc::UnboundedSender<Update>,
    /// A deadline may have come nearer.
    pub(super) deadline_changed: Notify,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ephemeral").field("stamp", &*self.stamp.borrow()).finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// The last stamp given or shown.
    stamp: u64,
    pub(super) typing: TypingRooms,
    pub(super) presence: Presences,
    /// The last change of each thing.
    changes: BTreeMap<u64, EphemeralChange>,
}

impl State {
    /// A stamp that is greater than all given or shown before.
    fn next_stamp(&mut self, now_ms: u64) -> u64 {
        self.stamp = now_ms.max(self.stamp.saturating_add(1));
        self.stamp
    }

    fn record(&mut self, change: EphemeralChange, now_ms: u64) -> (u64, EphemeralChange) {
        let stamp = self.next_stamp(now_ms);
        let before = match &change {
            EphemeralChange::Typing(room_nid) => self.typing.set_stamp(*room_nid, stamp),
            EphemeralChange::Presence(user_id) => self.presence.set_stamp(user_id, stamp),
        };
        self.changes.remove(&before);
        self.changes.insert(stamp, change.clone());
        (stamp, change)
    }
}

impl Ephemeral {
    /// Start: read presence as it was, and take part in what nodes tell each other. `incoming` are the payloads of
    /// notifications on the channel.
    pub(crate) async fn start(
        pool: PgPool,
        clock: Arc<dyn Clock>,
        presence: Option<PresenceTimers>,
        incoming: mpsc::UnboundedReceiver<String>,
        last_writes: &TaskTracker,
        stop: CancellationToken,
    ) -> Result<Self, StorageError> {
        let (outgoing, to_send) = mpsc::unbounded_channel();
        let inner = Arc::new(Inner {
            node: rand::random(),
            clock,
            presence_enabled: presence.is_some(),
            state: Mutex::new(State {
                presence: Presences::new(presence.unwrap_or_default()),
                ..State::default()
            }),
            subscribers: RwLock::default(),
            stamp: watch::Sender::new(0),
            outgoing,
            deadline_changed: Notify::new(),
        });
        if presence.is_some() {
            inner.restore(super::store::read(&pool).await?);
        }
        tasks::start(&inner, pool, last_writes, incoming, to_send, stop);
        Ok(Self { inner })
    }

    /// Whether presence is kept and shown at all.
    pub fn is_presence_enabled(&self) -> bool {
        self.inner.presence_enabled
    }

    /// The newest stamp: every change up to it can be read, every later change has a greater one.
    pub fn stamp_now(&self) -> u64 {
        let now_ms = self.inner.clock.now_ms();
        let mut state = self.inner.state.lock();
        state.stamp = state.stamp.max(now_ms);
        state.stamp
    }

    /// The changes after a stamp, each thing once.
    pub fn changed_since(&self, stamp: u64) -> EphemeralChanges {
        let now_ms = self.inner.clock.now_ms();
        let mut state = self.inner.state.lock();
        state.stamp = state.stamp.max(now_ms);
        let mut changes = EphemeralChanges { stamp: state.stamp, ..EphemeralChanges::default() };
        for (_, change) in state.changes.range(stamp.saturating_add(1)..) {
            match change {
                EphemeralChange::Typing(room_nid) => changes.typing.push(*room_nid),
                EphemeralChange::Presence(user_id) => changes.presence.push(user_id.clone()),
            }
        }
        changes
    }

    /// Call `subscriber` for every change from now on.
    pub fn subscribe(&self, subscriber: Arc<dyn EphemeralSubscriber>) {
        self.inner.subscribers.write().push(subscriber);
    }

    /// Watch the stamp of the newest change.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.inner.stamp.subscribe()
    }

    /// The stamp of the last change of who types in a room (0: none is known), and who types.
    pub fn typing(&self, room_nid: RoomNid) -> (u64, Vec<OwnedUserId>) {
        self.inner.state.lock().typing.list(room_nid, self.inner.clock.now_ms())
    }

    /// A user types for `timeout` from now on; `None`: no more.
    pub fn set_typing(&self, room_nid: RoomNid, user_id: &UserId, timeout: Option<Duration>) {
        let ms = timeout.map_or(0, |timeout| u64::try_from(timeout.as_millis()).unwrap_or(0));
        self.inner.set_typing(room_nid, user_id, ms);
        self.inner.send(Update::Typing { room_nid: room_nid.0, user_id: user_id.to_owned(), ms });
        self.set_active(user_id);
    }

    /// A user's presence. `None` for users who never had one, and when presence is disabled.
    pub fn presence(&self, user_id: &UserId) -> Option<Presence> {
        self.inner.state.lock().presence.view(user_id, self.inner.clock.now_ms())
    }

    /// Set a user's presence as the user wishes it.
    pub fn set_presence(&self, user_id: &UserId, state: PresenceState, status_msg: Option<String>) {
        if !self.inner.presence_enabled {
            return;
        }
        let now_ms = self.inner.clock.now_ms();
        self.inner.update_presence(user_id, |record| {
            record.state = state;
            record.status_msg = status_msg;
            record.last_sync_ms = now_ms;
            if state == PresenceState::Online {
                record.last_active_ms = now_ms;
            }
        });
        self.inner.send_presence(user_id);
    }

    /// A user did something. Users who are offline stay so: only a sync or their wish brings them online.
    pub fn set_active(&self, user_id: &UserId) {
        if !self.inner.presence_enabled {
            return;
        }
        // Activity that nobody can tell from the last one is not worth a message to other nodes.
        if self.inner.set_active(user_id) {
            self.inner.send_presence(user_id);
        }
    }

    /// A user's request waits for news, with its `set_presence`. The user does not go offline while the answer lives.
    pub fn begin_syncing(&self, user_id: &UserId, set_presence: PresenceState) -> Option<Syncing> {
        if !self.inner.presence_enabled || set_presence == PresenceState::Offline {
            return None;
        }
        let now_ms = self.inner.clock.now_ms();
        let active_millis = {
            let mut state = self.inner.state.lock();
            state.presence.count_syncing(user_id, true, now_ms);
            state.presence.timers().active_millis
        };
        let changed = self.inner.update_presence(user_id, |record| match set_presence {
            PresenceState::Online if record.state != PresenceState::Online => {
                // An app in the foreground, not a user at the keys: only the return counts as activity.
                if record.state == PresenceState::Offline
                    || now_ms.saturating_sub(record.last_active_ms) < active_millis
                {
                    record.state = PresenceState::Online;
                    record.last_active_ms = now_ms;
                }
            }
            PresenceState::Unavailable => record.state = PresenceState::Unavailable,
            PresenceState::Online | PresenceState::Offline => {}
        });
        if changed {
            self.inner.send_presence(user_id);
        }
        Some(Syncing { hub: Arc::downgrade(&self.inner), user_id: user_id.to_owned() })
    }

    /// A subscriber of the log: who sends a message types no more, and was active.
    pub(crate) fn log_subscriber(&self) -> Arc<dyn LogSubscriber> {
        Arc::new(FollowsLog { hub: Arc::downgrade(&self.inner) })
    }
}

impl Inner {
    fn set_typing(&self, room_nid: RoomNid, user_id: &UserId, ms: u64) {
        let now_ms = self.clock.now_ms();
        let mut state = self.state.lock();
        let changed = if ms == 0 {
            state.typing.delete(room_nid, user_id)
        } else {
            state.typing.add(room_nid, user_id.to_owned(), now_ms.saturating_add(ms))
        };
        let recorded = changed.then(|| state.record(EphemeralChange::Typing(room_nid), now_ms));
        drop(state);
        self.deadline_changed.notify_one();
        self.announce(recorded);
    }

    /// Change a user's record. Whether clients hear of it.
    fn update_presence(
        &self,
        user_id: &UserId,
        change: impl FnOnce(&mut super::presence::Record),
    ) -> bool {
        let now_ms = self.clock.now_ms();
        let mut state = self.state.lock();
        let changed = state.presence.update(user_id, now_ms, change);
        let recorded =
            changed.then(|| state.record(EphemeralChange::Presence(user_id.to_owned()), now_ms));
        drop(state);
        self.deadline_changed.notify_one();
        self.announce(recorded);
        changed
    }

    /// Note activity of a user who is not offline. Whether clients hear of it.
    fn set_active(&self, user_id: &UserId) -> bool {
        let now_ms = self.clock.now_ms();
        let known = self.state.lock().presence.find(user_id).map(|record| record.state);
        if known.unwrap_or_default() == PresenceState::Offline {
            return false;
        }
        self.update_presence(user_id, |record| {
            record.last_active_ms = now_ms;
            record.state = PresenceState::Online;
        })
    }

    pub(super) fn end_syncing(&self, user_id: &UserId) {
        let now_ms = self.clock.now_ms();
        self.state.lock().presence.count_syncing(user_id, false, now_ms);
        self.deadline_changed.notify_one();
    }

    fn restore(&self, records: Vec<(OwnedUserId, super::presence::Record)>) {
        let now_ms = self.clock.now_ms();
        let mut state = self.state.lock();
        for (user_id, read) in records {
            state.presence.update(&user_id, now_ms, |record| {
                *record = read;
                // Who does not come back soon goes offline.
                record.last_sync_ms = now_ms;
            });
        }
    }

    /// Let time pass: who stopped typing, who went away.
    pub(super) fn expire(&self) {
        let now_ms = self.clock.now_ms();
        let mut state = self.state.lock();
        let rooms = state.typing.expire(now_ms);
        let expired = state.presence.expire(now_ms);
        let recorded: Vec<_> = rooms
            .into_iter()
            .map(EphemeralChange::Typing)
            .chain(expired.changed.into_iter().map(EphemeralChange::Presence))
            .map(|change| state.record(change, now_ms))
            .collect();
        for stamp in state.typing.forget(now_ms.saturating_sub(TYPING_REMEMBERED_MILLIS)) {
            state.changes.remove(&stamp);
        }
        drop(state);
        self.announce(recorded);
        for user_id in expired.beats {
            self.send_presence(&user_id);
        }
    }

    pub(super) fn next_deadline(&self) -> Option<u64> {
        let state = self.state.lock();
        match (state.typing.next_deadline(), state.presence.next_deadline()) {
            (Some(typing), Some(presence)) => Some(typing.min(presence)),
            (typing, presence) => typing.or(presence),
        }
    }

    /// Take up what another node says.
    pub(super) fn receive(&self, payload: &str) {
        let Ok(packet) = serde_json::from_str::<Packet>(payload) else {
            tracing::warn!("another node sent an ephemeral change that does not parse");
            return;
        };
        if packet.node == self.node {
            return;
        }
        for update in packet.updates {
            match update {
                Update::Typing { room_nid, user_id, ms } => {
                    self.set_typing(RoomNid(room_nid), &user_id, ms);
                }
                Update::Presence { user_id, state, status_msg, active_ago_ms } => {
                    let now_ms = self.clock.now_ms();
                    self.update_presence(&user_id, |record| {
                        record.state = PresenceState::parse(&state).unwrap_or_default();
                        record.status_msg = status_msg;
                        record.last_sync_ms = now_ms;
                        record.last_active_ms =
                            active_ago_ms.map_or(0, |ago| now_ms.saturating_sub(ago));
                    });
                }
            }
        }
    }

    fn send_presence(&self, user_id: &UserId) {
        let now_ms = self.clock.now_ms();
        let mut state = self.state.lock();
        state.presence.set_beat(user_id, now_ms);
        let Some(view) = state.presence.view(user_id, now_ms) else { return };
        drop(state);
        self.send(Update::Presence {
            user_id: user_id.to_owned(),
            state: view.state.as_str().to_owned(),
            status_msg: view.status_msg,
            active_ago_ms: view.last_active_ago_ms,
        });
    }

    fn send(&self, update: Update) {
        // The task that sends is gone only when the node stops.
        let _ = self.outgoing.send(update);
    }

    fn announce(&self, recorded: impl IntoIterator<Item = (u64, EphemeralChange)>) {
        for (stamp, change) in recorded {
            for subscriber in self.subscribers.read().iter() {
                subscriber.apply(stamp, &change);
            }
            self.stamp.send_if_modified(|newest| {
                let newer = stamp > *newest;
                *newest = stamp.max(*newest);
                newer
            });
        }
    }
}

struct FollowsLog {
    hub: Weak<Inner>,
}

impl LogSubscriber for FollowsLog {
    fn apply(&self, entries: &[Arc<LogEntry>]) {
        let Some(hub) = self.hub.upgrade() else { return };
        for entry in entries {
            let event = match &entry.change {
                Change::Event(event) => event,
                // Who types and who is there ends by itself, so nothing is kept that an unknown entry could outdate.
                Change::StateReset { .. }
                | Change::Receipt { .. }
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
                | Change::Other { .. } => continue,
            };
            match (&*event.event_type, event.membership, &event.state_key) {
                ("m.room.message" | "m.room.encrypted", ..) => {
                    hub.set_typing(event.room_nid, &event.sender, 0);
                    if hub.presence_enabled {
                        hub.set_active(&event.sender);
                    }
                }
                (_, Some(Membership::Leave | Membership::Ban), Some(state_key)) => {
                    if let Ok(user_id) = <&UserId>::try_from(&**state_key) {
                        hub.set_typing(event.room_nid, user_id, 0);
                    }
                }
                _ => {}
            }
        }
    }
}
