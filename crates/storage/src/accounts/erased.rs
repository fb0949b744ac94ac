//! The users who asked to be erased on leaving this server for good: what they sent is shown in full only to whom they
//! sent it.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::RwLock;
use ruma::OwnedUserId;

use super::Users;
use crate::{
    StorageError,
    log::{Change, LogEntry, LogSubscriber},
};

/// All of them in memory, read again after any account changed. Accounts change seldom, and few are erased.
#[derive(Debug, Default)]
pub(crate) struct ErasedUsers {
    users: RwLock<Option<Arc<HashSet<OwnedUserId>>>>,
    /// Counts changes: what was read from the database before one may be stale.
    changes: AtomicU64,
}

impl LogSubscriber for ErasedUsers {
    fn apply(&self, entries: &[Arc<LogEntry>]) {
        if entries.iter().any(|entry| concerns_accounts(&entry.change)) {
            self.changes.fetch_add(1, Ordering::AcqRel);
            *self.users.write() = None;
        }
    }
}

fn concerns_accounts(change: &Change) -> bool {
    match change {
        Change::Account { .. }
        | Change::Other { user_id: Some(_), .. }
        | Change::Other { user_id: None, room_nid: None } => true,
        Change::Event(_)
        | Change::StateReset { .. }
        | Change::Receipt { .. }
        | Change::AccountData { .. }
        | Change::Sessions { .. }
        | Change::Profile { .. }
        | Change::DeviceList { .. }
        | Change::ToDevice { .. }
        | Change::KeyCounts { .. }
        | Change::Signatures { .. }
        | Change::Rewritten { .. }
        | Change::Forgotten { .. }
        | Change::Other { user_id: None, room_nid: Some(_) } => false,
    }
}

impl Users<'_> {
    /// The users who were erased. It takes at most one query, none while no account changes.
    pub async fn list_erased(&self) -> Result<Arc<HashSet<OwnedUserId>>, StorageError> {
        if let Some(users) = self.db.known_erased_users().users.read().as_ref() {
            return Ok(Arc::clone(users));
        }
        self.read_erased().await
    }

    /// Apart from the way that every request takes, which is not worth a span.
    #[tracing::instrument(name = "db.users.list_erased", skip_all)]
    async fn read_erased(&self) -> Result<Arc<HashSet<OwnedUserId>>, StorageError> {
        let known = self.db.known_erased_users();
        let changes = known.changes.load(Ordering::Acquire);
        let users = sqlx::query_scalar!("SELECT user_id FROM users WHERE erased")
            .fetch_all(self.db.pool())
            .await?
            .into_iter()
            .map(|user_id| {
                OwnedUserId::try_from(user_id).map_err(StorageError::inconsistent("users.user_id"))
            })
            .filter_map(|user_id| self.db.pool().readable(user_id));
        let users = Arc::new(users.collect::<HashSet<_>>());
        let mut place = known.users.write();
        if known.changes.load(Ordering::Acquire) == changes {
            *place = Some(Arc::clone(&users));
        }
        Ok(users)
    }
}
