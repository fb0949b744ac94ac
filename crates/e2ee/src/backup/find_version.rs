//! Finding a backup.

use myelin_storage::{StorageError, e2ee::KeyBackup};
use ruma::UserId;

use crate::E2ee;

/// The backup that takes keys: the newest one.
pub async fn find_current_version(
    e2ee: &E2ee,
    user_id: &UserId,
) -> Result<Option<KeyBackup>, StorageError> {
    e2ee.db().key_backups().find_current(user_id).await
}

/// A backup by its version, the current one or an older one.
pub async fn find_version(
    e2ee: &E2ee,
    user_id: &UserId,
    version: &str,
) -> Result<Option<KeyBackup>, StorageError> {
    match number(version) {
        Some(version) => e2ee.db().key_backups().find(user_id, version).await,
        None => Ok(None),
    }
}

/// The number that a version is. `None`: it was never given to a backup.
pub(super) fn number(version: &str) -> Option<i64> {
    version.parse().ok().filter(|number: &i64| number.to_string() == version)
}
