//! The presence of users.

use std::{
    collections::{HashMap, HashSet},
    sync::Weak,
};

use ruma::{OwnedUserId, UserId};

use super::hub::Inner;

/// The times after which users count as away, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PresenceTimers {
    /// The time after an activity for which a user counts as active now.
    pub active_millis: u64,
    /// The time after the last activity at which a user who is online becomes unavailable.
    pub idle_millis: u64,
    /// The time after the last sync at which a user becomes offline.
    pub offline_millis: u64,
}

impl Default for PresenceTimers {
    fn default() -> Self {
        Self { active_millis: 60_000, idle_millis: 300_000, offline_millis: 30_000 }
    }
}

impl PresenceTimers {
    /// The time between two messages to other nodes that a user still syncs here. It is short enough that they never
    /// take the user for offline.
    fn beat_millis(self) -> u64 {
        (self.offline_millis / 3).saturating_mul(2)
    }
}

/// Whether a user is there (client-server API, "Presence").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum PresenceState {
    /// The user is not connected.
    #[default]
    Offline,
    /// The user is connected and active.
    Online,
    /// The user is connected and away.
    Unavailable,
}

impl PresenceState {
    /// Read the `presence` of a request. `None` for values that the spec does not know.
    pub fn parse(presence: &str) -> Option<Self> {
        Some(match presence {
            "offline" => Self::Offline,
            "online" => Self::Online,
            "unavailable" => Self::Unavailable,
            _ => return None,
        })
    }

    /// The `presence` of events and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Offline => "offline",
            Self::Online => "online",
            Self::Unavailable => "unavailable",
        }
    }
}

/// A user's presence at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presence {
    /// Whether the user is there.
    pub state: PresenceState,
    /// The user's own words about it.
    pub status_msg: Option<String>,
    /// The time since the user was active, in milliseconds. `None` if that is not known.
    pub last_active_ago_ms: Option<u64>,
    /// Whether that is so little that the user counts as active now.
    pub currently_active: bool,
    /// The stamp of the last change on this node.
    pub stamp: u64,
}

/// The record of one user.
#[derive(Debug, Clone, Default)]
pub(super) struct Record {
    pub(super) state: PresenceState,
    pub(super) status_msg: Option<String>,
    /// Milliseconds since the epoch; 0 for never.
    pub(super) last_active_ms: u64,
    /// The time of the last sync, in milliseconds since the epoch.
    pub(super) last_sync_ms: u64,
    /// The value that was last announced.
    currently_active: bool,
    stamp: u64,
    /// Requests that wait on this node.
    syncing: u32,
    /// The time at which other nodes last heard of the user from this one, in milliseconds since the epoch.
    beat_ms: u64,
}

/// The outcome of a look at the clock.
#[derive(Debug, Default)]
pub(super) struct Expired {
    /// The users whose presence changed.
    pub(super) changed: Vec<OwnedUserId>,
    /// Users whom other nodes must hear of.
    pub(super) beats: Vec<OwnedUserId>,
}

/// The presence of all users who ever had one.
#[derive(Debug, Default)]
pub(super) struct Presences {
    timers: PresenceTimers,
    users: HashMap<OwnedUserId, Record>,
    /// Changed on this node since the table was written.
    dirty: HashSet<OwnedUserId>,
}

impl Presences {
    pub(super) fn new(timers: PresenceTimers) -> Self {
        Self { timers, ..Self::default() }
    }

    pub(super) fn timers(&self) -> PresenceTimers {
        self.timers
    }

    pub(super) fn find(&self, user_id: &UserId) -> Option<&Record> {
        self.users.get(user_id)
    }

    pub(super) fn view(&self, user_id: &UserId, now_ms: u64) -> Option<Presence> {
        let record = self.users.get(user_id)?;
        Some(Presence {
            state: record.state,
            status_msg: record.status_msg.clone(),
            last_active_ago_ms: (record.last_active_ms > 0)
                .then(|| now_ms.saturating_sub(record.last_active_ms)),
            currently_active: record.is_active(&self.timers, now_ms),
            stamp: record.stamp,
        })
    }

    /// Change a record. Whether clients must hear of it.
    pub(super) fn update(
        &mut self,
        user_id: &UserId,
        now_ms: u64,
        change: impl FnOnce(&mut Record),
    ) -> bool {
        let timers = self.timers;
        let record = self.users.entry(user_id.to_owned()).or_default();
        let before = (record.state, record.status_msg.clone(), record.currently_active);
        change(record);
        record.currently_active = record.is_active(&timers, now_ms);
        before != (record.state, record.status_msg.clone(), record.currently_active)
    }

    /// A user begins or ends a request that waits on this node.
    pub(super) fn count_syncing(&mut self, user_id: &UserId, begins: bool, now_ms: u64) {
        let record = self.users.entry(user_id.to_owned()).or_default();
        record.last_sync_ms = now_ms;
        record.syncing = if begins {
            record.syncing.saturating_add(1)
        } else {
            record.syncing.saturating_sub(1)
        };
    }

    pub(super) fn set_stamp(&mut self, user_id: &UserId, stamp: u64) -> u64 {
        self.users
            .get_mut(user_id)
            .map(|record| std::mem::replace(&mut record.stamp, stamp))
            .unwrap_or_default()
    }

    /// Other nodes hear of the user now.
    pub(super) fn set_beat(&mut self, user_id: &UserId, now_ms: u64) {
        if let Some(record) = self.users.get_mut(user_id) {
            record.beat_ms = now_ms;
        }
        self.dirty.insert(user_id.to_owned());
    }

    /// The time at which somebody's presence changes next by itself, in milliseconds since the epoch.
    pub(super) fn next_deadline(&self) -> Option<u64> {
        self.users.values().filter_map(|record| record.deadline(&self.timers)).min()
    }

    pub(super) fn expire(&mut self, now_ms: u64) -> Expired {
        let (mut expired, timers) = (Expired::default(), self.timers);
        for (user_id, record) in &mut self.users {
            if record.deadline(&timers).is_none_or(|deadline| deadline > now_ms) {
                continue;
            }
            let before = (record.state, record.currently_active);
            if record.syncing > 0 {
                record.last_sync_ms = now_ms;
                if now_ms >= record.beat_ms.saturating_add(timers.beat_millis()) {
                    record.beat_ms = now_ms;
                    expired.beats.push(user_id.clone());
                }
            } else if now_ms >= record.offline_ms(&timers) {
                record.state = PresenceState::Offline;
            }
            if record.state == PresenceState::Online
                && now_ms >= record.last_active_ms.saturating_add(timers.idle_millis)
            {
                record.state = PresenceState::Unavailable;
            }
            record.currently_active = record.is_active(&timers, now_ms);
            if before != (record.state, record.currently_active) {
                self.dirty.insert(user_id.clone());
                expired.changed.push(user_id.clone());
            }
        }
        expired
    }

    /// Take the records that are to be written to the table.
    pub(super) fn take_dirty(&mut self) -> Vec<(OwnedUserId, Record)> {
        let dirty = std::mem::take(&mut self.dirty);
        let records = dirty.into_iter().filter_map(|user_id| {
            let record = self.users.get(&user_id)?.clone();
            Some((user_id, record))
        });
        records.collect()
    }
}

impl Record {
    pub(super) fn stored(
        state: PresenceState,
        status_msg: Option<String>,
        last_active_ms: u64,
    ) -> Self {
        Self { state, status_msg, last_active_ms, ..Self::default() }
    }

    fn is_active(&self, timers: &PresenceTimers, now_ms: u64) -> bool {
        self.state == PresenceState::Online
            && now_ms < self.last_active_ms.saturating_add(timers.active_millis)
    }

    fn offline_ms(&self, timers: &PresenceTimers) -> u64 {
        self.last_sync_ms.max(self.last_active_ms).saturating_add(timers.offline_millis)
    }

    fn deadline(&self, timers: &PresenceTimers) -> Option<u64> {
        let mut deadline = None;
        let mut add = |at: u64| deadline = Some(deadline.map_or(at, |old: u64| old.min(at)));
        if self.syncing > 0 {
            add(self.beat_ms.saturating_add(timers.beat_millis()));
        } else if self.state != PresenceState::Offline {
            add(self.offline_ms(timers));
        }
        if self.state == PresenceState::Online {
            add(self.last_active_ms.saturating_add(timers.idle_millis));
        }
        if self.currently_active {
            add(self.last_active_ms.saturating_add(timers.active_millis));
        }
        deadline
    }
}

/// Keeps a user from going offline while a request waits. Dropped when it is answered.
#[derive(Debug)]
#[must_use]
pub struct Syncing {
    pub(super) hub: Weak<Inner>,
    pub(super) user_id: OwnedUserId,
}

impl Drop for Syncing {
    fn drop(&mut self) {
        if let Some(hub) = self.hub.upgrade() {
            hub.end_syncing(&self.user_id);
        }
    }
}
