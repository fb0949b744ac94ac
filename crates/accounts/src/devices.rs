//! A user's devices: listing, naming and deleting them.

use myelin_model::limits;
use myelin_storage::{StorageError, accounts::Device};
use ruma::{DeviceId, OwnedDeviceId, UserId};

use crate::{Accounts, user_data};

/// The length of a device's name, as Synapse has it.
const DISPLAY_NAME_LENGTH_CHARS_MAX: usize = 100;

/// The reason why a device cannot be named.
#[derive(Debug, thiserror::Error)]
pub enum SetNameError {
    /// There is no such device.
    #[error("No device found")]
    NotFound,
    /// The name is too long.
    #[error("Device display name is too long (max {DISPLAY_NAME_LENGTH_CHARS_MAX})")]
    TooLong,
    /// No device can have this ID.
    #[error("device_id cannot be longer than {} characters.", limits::DEVICE_ID_LENGTH_BYTES_MAX)]
    InvalidId,
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// The devices of a user, the oldest first.
pub async fn list(accounts: &Accounts, user_id: &UserId) -> Result<Vec<Device>, StorageError> {
    accounts.db().devices().list(user_id).await
}

/// Find a device of a user.
pub async fn find(
    accounts: &Accounts,
    user_id: &UserId,
    device_id: &DeviceId,
) -> Result<Option<Device>, StorageError> {
    accounts.db().devices().find(user_id, device_id).await
}

/// As much of a device's name as is kept when the device is made.
pub fn shorten_name(display_name: &str) -> &str {
    let end = display_name.char_indices().nth(DISPLAY_NAME_LENGTH_CHARS_MAX);
    end.and_then(|(end, _)| display_name.get(..end)).unwrap_or(display_name)
}

/// Name a device. Without a name nothing changes.
pub async fn set_name(
    accounts: &Accounts,
    user_id: &UserId,
    device_id: &DeviceId,
    display_name: Option<&str>,
) -> Result<(), SetNameError> {
    let Some(display_name) = display_name else {
        accounts.db().devices().find(user_id, device_id).await?.ok_or(SetNameError::NotFound)?;
        return Ok(());
    };
    check_name(display_name)?;
    let mut tx = accounts.db().begin().await?;
    if !tx.devices().set_name(user_id, device_id, display_name).await? {
        return Err(SetNameError::NotFound);
    }
    tx.devices().publish(user_id);
    tx.commit().await?;
    Ok(())
}

/// Name a device, or make it if there is none: as application services may, whose users need not log in. Whether it was made.
pub async fn make_or_name(
    accounts: &Accounts,
    user_id: &UserId,
    device_id: &DeviceId,
    display_name: Option<&str>,
) -> Result<bool, SetNameError> {
    check_name(display_name.unwrap_or_default())?;
    if !is_valid_id(device_id.as_str()) {
        return Err(SetNameError::InvalidId);
    }
    let mut tx = accounts.db().begin().await?;
    let is_new = tx.devices().add(user_id, device_id, display_name, accounts.now_ms()).await?;
    if let Some(display_name) = display_name.filter(|_| !is_new) {
        tx.devices().set_name(user_id, device_id, display_name).await?;
    }
    tx.devices().publish(user_id);
    tx.commit().await?;
    Ok(is_new)
}

fn check_name(display_name: &str) -> Result<(), SetNameError> {
    if display_name.chars().count() > DISPLAY_NAME_LENGTH_CHARS_MAX {
        return Err(SetNameError::TooLong);
    }
    Ok(())
}

/// Delete devices with their tokens and settings. Those that do not exist are passed over.
pub async fn delete(
    accounts: &Accounts,
    user_id: &UserId,
    device_ids: &[OwnedDeviceId],
) -> Result<(), StorageError> {
    let mut tx = accounts.db().begin().await?;
    tx.devices().delete(user_id, device_ids).await?;
    user_data::delete_of_devices(&mut tx, user_id, device_ids).await?;
    tx.devices().publish(user_id);
    tx.tokens().publish(user_id);
    tx.commit().await?;
    Ok(())
}

/// Whether a client may choose this device ID.
pub fn is_valid_id(device_id: &str) -> bool {
    !device_id.is_empty() && device_id.len() <= limits::DEVICE_ID_LENGTH_BYTES_MAX
}
