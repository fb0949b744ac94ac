//! Deleting keys of a backup.

use myelin_storage::StorageError;
use ruma::UserId;

use super::{Counts, Part, find_version::number};
use crate::E2ee;

/// The reason why keys are not deleted.
#[derive(Debug, thiserror::Error)]
pub enum DeleteKeysError {
    #[error("Unknown backup version")]
    NotFound,
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Delete keys of a backup, of the current one or of an older one.
pub async fn delete_keys(
    e2ee: &E2ee,
    user_id: &UserId,
    version: &str,
    part: Part<'_>,
) -> Result<Counts, DeleteKeysError> {
    let number = number(version).ok_or(DeleteKeysError::NotFound)?;
    let (room_id, session_id) = match part {
        Part::All => (None, None),
        Part::Room(room_id) => (Some(room_id), None),
        Part::Session(room_id, session_id) => (Some(room_id), Some(session_id)),
    };
    let mut tx = e2ee.db().begin().await?;
    let backup = tx.key_backups().lock(user_id, number).await?.ok_or(DeleteKeysError::NotFound)?;
    let deleted = tx.key_backups().delete_keys(user_id, number, room_id, session_id).await?;
    let deleted_count = i64::try_from(deleted).unwrap_or(i64::MAX);
    let keys_count = backup.keys_count.saturating_sub(deleted_count).max(0);
    let counts = Counts::set(&mut tx, user_id, &backup, keys_count, deleted > 0).await?;
    tx.commit().await?;
    Ok(counts)
}
