//! The lists of the users whom users ignore (client-server API, "Ignoring users"), in memory.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use myelin_events::account_data::{IGNORED_USER_LIST, ignored_users};
use myelin_storage::{Change, Db, LogEntry, LogSubscriber, StorageError};
use quick_cache::sync::Cache;
use ruma::{OwnedUserId, UserId};

/// The number of users whose lists are remembered.
const LISTS_MAX: usize = 50_000;

/// The lists that were read, kept true by the log.
pub(crate) struct IgnoredUsers {
    lists: Cache<OwnedUserId, Arc<HashSet<OwnedUserId>>>,
    /// Counts changes: what was read from the database before one may be stale.
    changes: AtomicU64,
    /// The empty list, shared by most users.
    nobody: Arc<HashSet<OwnedUserId>>,
}

impl Default for IgnoredUsers {
    fn default() -> Self {
        Self { lists: Cache::new(LISTS_MAX), changes: AtomicU64::new(0), nobody: Arc::default() }
    }
}

impl std::fmt::Debug for IgnoredUsers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IgnoredUsers").field("lists", &self.lists.len()).finish_non_exhaustive()
    }
}

impl IgnoredUsers {
    fn forget(&self, user_id: &UserId) {
        self.changes.fetch_add(1, Ordering::AcqRel);
        self.lists.remove(user_id);
    }
}

impl LogSubscriber for IgnoredUsers {
    fn apply(&self, entries: &[Arc<LogEntry>]) {
        for entry in entries {
            match &entry.change {
                Change::AccountData { user_id, room_nid: None, data_type, .. } => {
                    if &**data_type == IGNORED_USER_LIST {
                        self.forget(user_id);
                    }
                }
                Change::Other { user_id: Some(user_id), .. } => self.forget(user_id),
                Change::Other { user_id: None, room_nid: None } => {
                    self.changes.fetch_add(1, Ordering::AcqRel);
                    self.lists.clear();
                }
                Change::AccountData { room_nid: Some(_), .. }
                | Change::Other { room_nid: Some(_), user_id: None }
                | Change::Event(_)
                | Change::StateReset { .. }
                | Change::Receipt { .. }
                | Change::Sessions { .. }
                | Change::Account { .. }
                | Change::Profile { .. }
                | Change::DeviceList { .. }
                | Change::ToDevice { .. }
                | Change::KeyCounts { .. }
                | Change::Signatures { .. }
                | Change::Rewritten { .. }
                | Change::Forgotten { .. } => {}
            }
        }
    }
}

impl IgnoredUsers {
    /// The users whom a user ignores. It takes at most one query, none while the list is in memory.
    pub(crate) async fn get(
        &self,
        db: &Db,
        user_id: &UserId,
    ) -> Result<Arc<HashSet<OwnedUserId>>, StorageError> {
        if let Some(list) = self.lists.get(user_id) {
            return Ok(list);
        }
        let changes = self.changes.load(Ordering::Acquire);
        let list = match db.account_data().find(user_id, None, IGNORED_USER_LIST).await? {
            Some(content) => Arc::new(ignored_users(content.get(), user_id)),
            None => Arc::clone(&self.nobody),
        };
        self.lists.insert(user_id.to_owned(), Arc::clone(&list));
        if self.changes.load(Ordering::Acquire) != changes {
            self.lists.remove(user_id);
        }
        Ok(list)
    }
}
