//! Adding keys to a backup.

use myelin_storage::{StorageError, Tx, e2ee::KeyBackup};
use ruma::UserId;

use super::{Counts, Keys, find_version::number};
use crate::E2ee;

/// The number of keys that a backup has. Who is in a hundred busy rooms has some ten thousand after years.
const KEYS_MAX: i64 = 2_000_000;

/// The reason why keys are not added.
#[derive(Debug, thiserror::Error)]
pub enum AddKeysError {
    #[error("Version '{0}' not found")]
    NotFound(String),
    /// A newer backup has taken its place.
    #[error("Wrong backup version.")]
    NotCurrent { current_version: i64 },
    #[error("The backup has {KEYS_MAX} keys and takes no more")]
    TooMany,
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Add keys to the current backup. Where it has a key of the same session, the better one stays.
pub async fn add_keys(
    e2ee: &E2ee,
    user_id: &UserId,
    version: &str,
    Keys(keys): Keys,
) -> Result<Counts, AddKeysError> {
    let mut tx = e2ee.db().begin().await?;
    let backup = lock_current(&mut tx, user_id, version).await?;
    let (added, replaced) = tx.key_backups().add_keys(user_id, backup.version, &keys).await?;
    let added_count = i64::try_from(added).unwrap_or(i64::MAX);
    let keys_count = backup.keys_count.saturating_add(added_count);
    if keys_count > KEYS_MAX {
        return Err(AddKeysError::TooMany);
    }
    let changed = added + replaced > 0;
    let counts = Counts::set(&mut tx, user_id, &backup, keys_count, changed).await?;
    tx.commit().await?;
    Ok(counts)
}

/// Lock the backup if it is the current one.
async fn lock_current(
    tx: &mut Tx,
    user_id: &UserId,
    version: &str,
) -> Result<KeyBackup, AddKeysError> {
    let not_found = || AddKeysError::NotFound(version.to_owned());
    let number = number(version).ok_or_else(not_found)?;
    let backup = tx.key_backups().lock(user_id, number).await?.ok_or_else(not_found)?;
    let current_version = tx.key_backups().current_version(user_id).await?.ok_or_else(not_found)?;
    if current_version != backup.version {
        return Err(AddKeysError::NotCurrent { current_version });
    }
    Ok(backup)
}
