//! Beginning a new backup.

use myelin_storage::StorageError;
use ruma::UserId;
use serde_json::{Map, Value};

use super::AUTH_DATA_SIZE_BYTES_MAX;
use crate::E2ee;

/// The number of backups that a user has at once. Clients use the newest one, and delete those that they replace.
const BACKUPS_MAX: i64 = 100;

/// The length of an algorithm's name, in bytes.
const ALGORITHM_LENGTH_BYTES_MAX: usize = 255;

/// The number of times that a version is taken when others of the same user are begun at once.
const ATTEMPTS_MAX: usize = 5;

/// The reason why no backup is begun.
#[derive(Debug, thiserror::Error)]
pub enum AddVersionError {
    #[error("{0} is too long")]
    TooLong(&'static str),
    #[error("There are {BACKUPS_MAX} backups already; delete one first")]
    TooMany,
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Begin a new backup, which takes the place of the one before: its version.
pub async fn add_version(
    e2ee: &E2ee,
    user_id: &UserId,
    algorithm: &str,
    auth_data: &Map<String, Value>,
) -> Result<i64, AddVersionError> {
    let auth_data = serde_json::to_string(auth_data).unwrap_or_default();
    if algorithm.len() > ALGORITHM_LENGTH_BYTES_MAX {
        return Err(AddVersionError::TooLong("algorithm"));
    }
    if auth_data.len() > AUTH_DATA_SIZE_BYTES_MAX {
        return Err(AddVersionError::TooLong("auth_data"));
    }
    for _ in 0..ATTEMPTS_MAX {
        let mut tx = e2ee.db().begin().await?;
        if tx.key_backups().count(user_id).await? >= BACKUPS_MAX {
            return Err(AddVersionError::TooMany);
        }
        if let Some(version) = tx.key_backups().add(user_id, algorithm, &auth_data).await? {
            tx.commit().await?;
            return Ok(version);
        }
    }
    Err(StorageError::foreign("key_backups.version")("others are begun at once").into())
}
