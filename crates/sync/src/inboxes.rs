//! The devices for which no message waits: whoever syncs one of them reads nothing.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use myelin_model::StreamPos;
use myelin_storage::{Change, LogEntry, LogSubscriber};
use quick_cache::sync::Cache;
use ruma::{DeviceId, OwnedDeviceId, OwnedUserId, UserId};

/// The number of devices that are remembered. Of others the database is asked.
const DEVICES_MAX: usize = 50_000;

/// The inboxes of devices that sync on this node. It must follow the log before whatever wakes who syncs.
#[derive(Debug)]
pub(crate) struct Inboxes {
    devices: Cache<(OwnedUserId, OwnedDeviceId), Arc<Inbox>>,
}

/// The inbox of a device, as far as this node knows it.
#[derive(Debug)]
pub(crate) struct Inbox {
    /// The position of the newest message that came while the inbox was remembered here.
    newest: AtomicI64,
    /// The position at which nothing waited. Before the first look it is none.
    empty_at: AtomicI64,
}

impl Default for Inbox {
    fn default() -> Self {
        Self { newest: AtomicI64::new(0), empty_at: AtomicI64::new(-1) }
    }
}

impl Inbox {
    /// Whether nothing waits, as far as this node has applied the log.
    pub(crate) fn is_empty(&self) -> bool {
        self.empty_at.load(Ordering::Acquire) >= self.newest.load(Ordering::Acquire)
    }

    /// Note that nothing waited at a position that this node had applied before it looked.
    pub(crate) fn set_empty_at(&self, pos: StreamPos) {
        self.empty_at.fetch_max(pos.0, Ordering::AcqRel);
    }
}

impl Default for Inboxes {
    fn default() -> Self {
        Self { devices: Cache::new(DEVICES_MAX) }
    }
}

impl Inboxes {
    /// The inbox of a device. To be asked for before the database is: what comes meanwhile is noted in it.
    pub(crate) fn get(&self, user_id: &UserId, device_id: &DeviceId) -> Arc<Inbox> {
        let key = (user_id.to_owned(), device_id.to_owned());
        self.devices
            .get_or_insert_with(&key, || Ok::<_, std::convert::Infallible>(Arc::default()))
            .unwrap_or_default()
    }
}

impl LogSubscriber for Inboxes {
    fn apply(&self, entries: &[Arc<LogEntry>]) {
        for entry in entries {
            match &entry.change {
                Change::ToDevice { user_id, device_ids } => {
                    for device_id in device_ids {
                        let key = (user_id.clone(), device_id.clone());
                        if let Some(inbox) = self.devices.peek(&key) {
                            inbox.newest.fetch_max(entry.pos.0, Ordering::AcqRel);
                        }
                    }
                }
                Change::Other { room_nid: None, .. } | Change::Other { user_id: Some(_), .. } => {
                    self.devices.clear();
                }
                Change::Other { room_nid: Some(_), user_id: None }
                | Change::Event(_)
                | Change::StateReset { .. }
                | Change::Receipt { .. }
                | Change::AccountData { .. }
                | Change::Sessions { .. }
                | Change::Account { .. }
                | Change::Profile { .. }
                | Change::DeviceList { .. }
                | Change::KeyCounts { .. }
                | Change::Signatures { .. }
                | Change::Forgotten { .. } => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ruma::{device_id, user_id};

    use super::*;

    fn message(pos: i64) -> Arc<LogEntry> {
        let user_id = user_id!("@a:x").to_owned();
        let change = Change::ToDevice { user_id, device_ids: vec![device_id!("A").to_owned()] };
        Arc::new(LogEntry { pos: StreamPos(pos), change })
    }

    #[test]
    fn an_inbox_is_empty_only_after_a_look_and_until_a_message_comes() {
        let inboxes = Inboxes::default();
        let inbox = inboxes.get(user_id!("@a:x"), device_id!("A"));
        let other = inboxes.get(user_id!("@a:x"), device_id!("B"));
        assert!(!inbox.is_empty());
        inbox.set_empty_at(StreamPos(4));
        other.set_empty_at(StreamPos(4));
        assert!(inbox.is_empty());
        inboxes.apply(&[message(7)]);
        assert!(!inbox.is_empty() && other.is_empty());
        // A look at an older position, which could not see the message.
        inbox.set_empty_at(StreamPos(6));
        assert!(!inbox.is_empty());
        inbox.set_empty_at(StreamPos(7));
        assert!(inbox.is_empty());
    }

    #[test]
    fn what_came_during_a_look_is_noted() {
        let inboxes = Inboxes::default();
        let inbox = inboxes.get(user_id!("@a:x"), device_id!("A"));
        inboxes.apply(&[message(5)]);
        inbox.set_empty_at(StreamPos(4));
        assert!(!inbox.is_empty());
        assert!(!inboxes.get(user_id!("@a:x"), device_id!("A")).is_empty());
    }

    #[test]
    fn after_an_entry_that_is_not_known_nothing_is() {
        let inboxes = Inboxes::default();
        inboxes.get(user_id!("@a:x"), device_id!("A")).set_empty_at(StreamPos(4));
        let change = Change::Other { room_nid: None, user_id: Some(user_id!("@a:x").to_owned()) };
        inboxes.apply(&[Arc::new(LogEntry { pos: StreamPos(5), change })]);
        assert!(!inboxes.get(user_id!("@a:x"), device_id!("A")).is_empty());
    }
}
