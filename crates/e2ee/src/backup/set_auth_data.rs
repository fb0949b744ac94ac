//! Changing the data of a backup's algorithm, as when the user's identity signs it.

use myelin_storage::StorageError;
use ruma::UserId;
use serde_json::{Map, Value};

use super::{AUTH_DATA_SIZE_BYTES_MAX, find_version::number};
use crate::E2ee;

/// The reason why a backup is not changed.
#[derive(Debug, thiserror::Error)]
pub enum SetAuthDataError {
    #[error("Unknown backup version")]
    NotFound,
    /// Only the data of the algorithm can be changed.
    #[error("Algorithm does not match")]
    OtherAlgorithm,
    #[error("auth_data is too long")]
    TooLong,
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Change the data of a backup's algorithm.
pub async fn set_auth_data(
    e2ee: &E2ee,
    user_id: &UserId,
    version: &str,
    algorithm: &str,
    auth_data: &Map<String, Value>,
) -> Result<(), SetAuthDataError> {
    let version = number(version).ok_or(SetAuthDataError::NotFound)?;
    let auth_data = serde_json::to_string(auth_data).unwrap_or_default();
    if auth_data.len() > AUTH_DATA_SIZE_BYTES_MAX {
        return Err(SetAuthDataError::TooLong);
    }
    let mut tx = e2ee.db().begin().await?;
    let backup =
        tx.key_backups().lock(user_id, version).await?.ok_or(SetAuthDataError::NotFound)?;
    if backup.algorithm != algorithm {
        return Err(SetAuthDataError::OtherAlgorithm);
    }
    tx.key_backups().set_auth_data(user_id, version, &auth_data).await?;
    tx.commit().await?;
    Ok(())
}
