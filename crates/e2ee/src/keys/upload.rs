//! Uploading a device's keys.

use myelin_storage::{
    StorageError, Tx,
    e2ee::{KeyCounts, LockedDevice, OneTimeKey},
};
use ruma::{DeviceId, UserId};
use serde_json::{Map, Value};

use super::{UploadedKeys, uploaded::DeviceKeys};
use crate::{
    E2ee,
    signed::{have_same_content, stored},
};

/// The number of one-time keys that a device has, of all algorithms. Clients keep at most a hundred.
const ONE_TIME_KEYS_MAX: i64 = 1_000;

/// The number of claimed keys of a device that are remembered. A client uploads fewer at once, so all that it may upload again are
/// among them.
const CLAIMED_KEYS_MAX: i64 = 200;

/// The reason why keys are not stored.
#[derive(Debug, thiserror::Error)]
pub enum UploadKeysError {
    #[error("Provided `user_id` in `device_keys` does not match that of the authenticated user")]
    OtherUser,
    #[error(
        "Provided `device_id` in `device_keys` does not match that of the authenticated user device"
    )]
    OtherDevice,
    /// It was deleted while the request was on its way.
    #[error("The device does not exist any more")]
    UnknownDevice,
    #[error("One time key {algorithm}:{key_id} already exists. Old key: {old}; new key: {new}")]
    OtherKey { algorithm: String, key_id: String, old: String, new: String },
    #[error("A device has at most {ONE_TIME_KEYS_MAX} one-time keys")]
    TooMany,
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Store keys of the caller's device: the keys that it has left for others to claim then. What is there already may be sent again.
pub async fn upload_keys(
    e2ee: &E2ee,
    user_id: &UserId,
    device_id: &DeviceId,
    keys: UploadedKeys,
) -> Result<KeyCounts, UploadKeysError> {
    if keys.is_empty() {
        let mut devices = e2ee.db().key_counts(user_id).await?;
        return Ok(devices.remove(device_id).unwrap_or_default());
    }
    let mut tx = e2ee.db().begin().await?;
    let device = tx.device_keys().lock(user_id, device_id).await?;
    let device = device.ok_or(UploadKeysError::UnknownDevice)?;
    if let Some(device_keys) = keys.device_keys {
        set_device_keys(&mut tx, user_id, device_id, &device, device_keys).await?;
    }
    let mut has_news = false;
    if !keys.one_time_keys.is_empty() {
        has_news = add_one_time_keys(&mut tx, user_id, device_id, keys.one_time_keys).await?;
    }
    if !keys.fallback_keys.is_empty() {
        has_news |=
            tx.one_time_keys().set_fallback(user_id, device_id, &keys.fallback_keys).await?;
    }
    let counts = tx.one_time_keys().count(user_id, device_id).await?;
    if has_news {
        if counts.one_time_keys.values().sum::<i64>() > ONE_TIME_KEYS_MAX {
            return Err(UploadKeysError::TooMany);
        }
        tx.one_time_keys().publish(user_id);
    }
    tx.commit().await?;
    Ok(counts)
}

/// Set the identity keys, if they are others than before.
async fn set_device_keys(
    tx: &mut Tx,
    user_id: &UserId,
    device_id: &DeviceId,
    device: &LockedDevice,
    keys: DeviceKeys,
) -> Result<(), UploadKeysError> {
    if keys.user_id != user_id.as_str() {
        return Err(UploadKeysError::OtherUser);
    }
    if keys.device_id != device_id.as_str() {
        return Err(UploadKeysError::OtherDevice);
    }
    if device.keys.as_deref() == Some(&*keys.json) {
        return Ok(());
    }
    let before = device.keys.as_deref().and_then(stored);
    let are_others = before.is_none_or(|before| !have_same_content(&before, &keys.object));
    tx.device_keys().set(user_id, device_id, &keys.json, are_others).await?;
    Ok(())
}

/// Add the one-time keys that are not there yet. Whether there were such.
async fn add_one_time_keys(
    tx: &mut Tx,
    user_id: &UserId,
    device_id: &DeviceId,
    mut keys: Vec<OneTimeKey>,
) -> Result<bool, UploadKeysError> {
    for (old, is_claimed) in tx.one_time_keys().list_same(user_id, device_id, &keys).await? {
        let is_same_id =
            |new: &OneTimeKey| new.algorithm == old.algorithm && new.key_id == old.key_id;
        let Some(place) = keys.iter().position(is_same_id) else { continue };
        if keys.get(place).is_some_and(|new| is_same_key(&old.key, &new.key)) {
            keys.remove(place);
        } else if !is_claimed {
            let OneTimeKey { algorithm, key_id, key: new } = keys.remove(place);
            return Err(UploadKeysError::OtherKey { algorithm, key_id, old: old.key, new });
        }
    }
    if keys.is_empty() {
        return Ok(false);
    }
    tx.one_time_keys().forget_claimed(user_id, device_id, CLAIMED_KEYS_MAX).await?;
    tx.one_time_keys().add(user_id, device_id, &keys).await?;
    Ok(true)
}

/// Whether two keys are the same, whoever signed them: a client may sign anew what it sends again.
fn is_same_key(one: &str, other: &str) -> bool {
    let unsigned = |json: &str| {
        let mut key: Value = serde_json::from_str(json).ok()?;
        key.as_object_mut().map(|key: &mut Map<String, Value>| key.remove("signatures"));
        Some(key)
    };
    one == other || unsigned(one) == unsigned(other)
}
