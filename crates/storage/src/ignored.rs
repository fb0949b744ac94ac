//! Whom users ignore (client-server API, "Ignoring users").

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use quick_cache::sync::Cache;
use ruma::{OwnedUserId, UserId};
use serde::Deserialize;

use crate::{
    Db, StorageError,
    log::{Change, LogEntry, LogSubscriber},
};

/// How many users' lists are remembered.
const LISTS_MAX: usize = 50_000;

const DATA_TYPE: &str = "m.ignored_user_list";

/// Lists in memory, kept true by the log.
pub(crate) struct IgnoredUsers {
    lists: Cache<OwnedUserId, Arc<HashSet<OwnedUserId>>>,
    /// Counts changes: what was read from the database before one may be stale.
    changes: AtomicU64,
    /// Most users ignore nobody.
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
                    if &**data_type == DATA_TYPE {
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
                | Change::Forgotten { .. } => {}
            }
        }
    }
}

impl Db {
    /// Whom a user ignores. At most one query, none while the list is in memory.
    #[tracing::instrument(name = "db.ignored_users.get", skip_all, err)]
    pub async fn ignored_users(
        &self,
        user_id: &UserId,
    ) -> Result<Arc<HashSet<OwnedUserId>>, StorageError> {
        let known = self.known_ignored_users();
        if let Some(list) = known.lists.get(user_id) {
            return Ok(list);
        }
        let changes = known.changes.load(Ordering::Acquire);
        let content = sqlx::query_scalar!(
            "SELECT content FROM account_data WHERE user_id = $1 AND room_nid = 0 AND data_type = $2",
            user_id.as_str(),
            DATA_TYPE
        )
        .fetch_optional(self.pool())
        .await?;
        let list = match content {
            Some(content) => Arc::new(parse(&content)),
            None => Arc::clone(&known.nobody),
        };
        known.lists.insert(user_id.to_owned(), Arc::clone(&list));
        if known.changes.load(Ordering::Acquire) != changes {
            known.lists.remove(user_id);
        }
        Ok(list)
    }
}

/// Read the content of `m.ignored_user_list`. What is no user ID ignores nobody.
fn parse(content: &str) -> HashSet<OwnedUserId> {
    #[derive(Deserialize, Default)]
    struct Content {
        #[serde(default)]
        ignored_users: serde_json::Map<String, serde_json::Value>,
    }
    let content: Content = serde_json::from_str(content).unwrap_or_default();
    content.ignored_users.keys().filter_map(|user| OwnedUserId::try_from(&**user).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read() {
        let list = parse(r#"{"ignored_users":{"@bad:h":{},"nonsense":{}}}"#);
        assert_eq!(list.len(), 1);
        assert!(parse(r#"{"ignored_users":[]}"#).is_empty());
        assert!(parse("{}").is_empty());
    }
}
