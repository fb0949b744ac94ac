//! Deleting a backup.

use myelin_storage::StorageError;
use ruma::UserId;

use super::find_version::number;
use crate::E2ee;

/// The reason why a backup is not deleted.
#[derive(Debug, thiserror::Error)]
pub enum DeleteVersionError {
    /// The user never had it.
    #[error("Unknown backup version")]
    NotFound,
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Delete a backup with its keys. One that was deleted before may be deleted again.
pub async fn delete_version(
    e2ee: &E2ee,
    user_id: &UserId,
    version: &str,
) -> Result<(), DeleteVersionError> {
    let version = number(version).ok_or(DeleteVersionError::NotFound)?;
    let mut tx = e2ee.db().begin().await?;
    if !tx.key_backups().delete(user_id, version).await? {
        return Err(DeleteVersionError::NotFound);
    }
    tx.commit().await?;
    Ok(())
}
