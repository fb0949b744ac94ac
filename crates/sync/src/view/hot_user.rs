//! A user who syncs on this node.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use myelin_events::account_data::{IGNORED_USER_LIST, INVITE_PERMISSION_CONFIG, PUSH_RULES};
use myelin_model::{Membership, RoomNid, StreamPos};
use myelin_storage::{Change, HotUserRows, LogEntry, MembershipRow, e2ee::KeyCountsByDevice};
use ruma::{DeviceId, OwnedDeviceId, OwnedUserId, UserId, push::Ruleset};
use tokio::sync::watch;

/// A short name for a hot user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct UserKey(pub(super) u64);

/// The part of a user's account data that `/sync` itself follows.
#[derive(Debug)]
pub(crate) struct Personal {
    /// The users whom the user ignores.
    pub(crate) ignored: HashSet<OwnedUserId>,
    /// The user's push rules.
    pub(crate) rules: Ruleset,
    /// They are the default ones.
    pub(crate) rules_are_default: bool,
    /// The user takes no invites.
    pub(crate) blocks_invites: bool,
}

/// A user's rooms, kept in line by the log.
#[derive(Debug)]
pub(super) struct HotUser {
    user_id: OwnedUserId,
    /// The user's memberships by room, with a mark on those that the user forgot.
    pub(super) rooms: HashMap<RoomNid, MembershipRow>,
    pub(super) wake: watch::Sender<StreamPos>,
    pub(super) used: u64,
    pub(super) personal: Option<Arc<Personal>>,
    /// Grows when `personal` changes in the database.
    pub(super) personal_version: u64,
    pub(super) key_counts: Option<Arc<KeyCountsByDevice>>,
    /// Grows when `key_counts` changes in the database.
    pub(super) key_counts_version: u64,
    /// The devices for which messages may wait, with the position of the newest.
    inboxes: HashMap<OwnedDeviceId, StreamPos>,
}

impl HotUser {
    pub(super) fn new(user_id: OwnedUserId, rows: HotUserRows, pos: StreamPos, used: u64) -> Self {
        let inboxes = rows.inboxes.into_iter().map(|device_id| (device_id, pos)).collect();
        Self {
            user_id,
            inboxes,
            rooms: rows.memberships.iter().map(|row| (row.room_nid, *row)).collect(),
            wake: watch::Sender::new(pos),
            used,
            personal: None,
            personal_version: 0,
            key_counts: Some(Arc::new(rows.key_counts)),
            // Not the version of whoever was kept under this name before.
            key_counts_version: used << 32,
        }
    }

    pub(super) fn user_id(&self) -> &UserId {
        &self.user_id
    }

    pub(super) fn joined(&self) -> impl Iterator<Item = RoomNid> {
        self.rooms.values().filter(|row| row.membership == Membership::Join).map(|row| row.room_nid)
    }

    pub(super) fn is_joined(&self, room_nid: RoomNid) -> bool {
        self.rooms.get(&room_nid).is_some_and(|row| row.membership == Membership::Join)
    }

    /// Whether a request waits for this user's news.
    pub(super) fn is_waiting(&self) -> bool {
        self.wake.receiver_count() > 0
    }

    pub(super) fn wake(&self, pos: StreamPos) {
        if self.is_waiting() {
            metrics::counter!("myelin_sync_wakeups_total").increment(1);
            self.wake.send_replace(pos);
        }
    }

    /// Whether messages may wait for a device.
    pub(super) fn has_messages(&self, device_id: &DeviceId) -> bool {
        self.inboxes.contains_key(device_id)
    }

    /// No message waits for a device up to a position.
    pub(super) fn set_no_messages(&mut self, device_id: &DeviceId, upto: StreamPos) {
        if self.inboxes.get(device_id).is_some_and(|newest| *newest <= upto) {
            self.inboxes.remove(device_id);
        }
    }

    /// Take up an entry that concerns the user.
    pub(super) fn follow(&mut self, entry: &LogEntry) {
        match &entry.change {
            Change::Event(event) => {
                let Some(membership) = event.membership else { return };
                let row = MembershipRow {
                    room_nid: event.room_nid,
                    membership,
                    event_nid: event.nid,
                    pos: entry.pos,
                    forgotten: false,
                };
                let known = self.rooms.entry(event.room_nid).or_insert(row);
                if known.pos <= entry.pos {
                    // Who has forgotten a room does not remember it by being banned.
                    let stays_out = matches!(membership, Membership::Leave | Membership::Ban);
                    *known = MembershipRow { forgotten: known.forgotten && stays_out, ..row };
                }
            }
            Change::Forgotten { room_nid, .. } => {
                if let Some(known) = self.rooms.get_mut(room_nid)
                    && known.pos <= entry.pos
                {
                    known.forgotten = true;
                }
            }
            Change::AccountData { room_nid: None, data_type, .. } => {
                if matches!(&**data_type, IGNORED_USER_LIST | PUSH_RULES | INVITE_PERMISSION_CONFIG)
                {
                    self.personal = None;
                    self.personal_version += 1;
                }
            }
            // A device that went takes its keys along.
            Change::KeyCounts { .. } | Change::DeviceList { .. } => {
                self.key_counts = None;
                self.key_counts_version += 1;
            }
            Change::ToDevice { device_ids, .. } => {
                let inboxes = device_ids.iter().map(|device_id| (device_id.clone(), entry.pos));
                self.inboxes.extend(inboxes);
            }
            // Whoever is concerned by what is not known is read again.
            Change::Other { .. }
            | Change::AccountData { room_nid: Some(_), .. }
            | Change::StateReset { .. }
            | Change::Receipt { .. }
            | Change::Sessions { .. }
            | Change::Account { .. }
            | Change::Profile { .. }
            | Change::Signatures { .. }
            | Change::Rewritten { .. } => {}
        }
    }
}
