//! Uploading cross-signing keys.

use std::collections::BTreeSet;

use myelin_storage::{StorageError, Tx, e2ee::KeyUsage};
use ruma::UserId;
use serde_json::Value;

use super::{UploadedSigningKeys, key::SigningKey};
use crate::E2ee;

/// The reason why cross-signing keys are not stored.
#[derive(Debug, thiserror::Error)]
pub enum UploadSigningKeysError {
    /// The keys that are there would be replaced, for which the caller must prove again who it is.
    #[error("Cross-signing keys are replaced only by who proves to be their user")]
    Unproved,
    #[error("No master key available")]
    NoMasterKey,
    #[error("Invalid signature on {} key", .0.as_str())]
    InvalidSignature(KeyUsage),
    /// Signatures tell devices and keys by their IDs, so no two may have the same.
    #[error("Key ID in use")]
    KeyInUse,
    /// Its account is gone.
    #[error("Unknown user")]
    UnknownUser,
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Store cross-signing keys of a user, the first ones or others. The same may be sent again. `is_proved`: the caller has proved
/// again who it is.
pub async fn upload_signing_keys(
    e2ee: &E2ee,
    user_id: &UserId,
    keys: &UploadedSigningKeys,
    is_proved: bool,
) -> Result<(), UploadSigningKeysError> {
    let mut tx = e2ee.db().begin().await?;
    if !tx.cross_signing().lock(user_id).await? {
        return Err(UploadSigningKeysError::UnknownUser);
    }
    let before = list_stored(&mut tx, user_id).await?;
    let find = |usage: KeyUsage| before.iter().find(|key| key.usage == usage);
    let is_new = |key: &&SigningKey| find(key.usage).is_none_or(|old| old.json != key.json);
    let new: Vec<&SigningKey> = keys.0.iter().filter(is_new).collect();
    if new.is_empty() {
        return Ok(());
    }
    if find(KeyUsage::Master).is_some() && !is_proved {
        return Err(UploadSigningKeysError::Unproved);
    }
    let master = keys.find(KeyUsage::Master).or_else(|| find(KeyUsage::Master));
    check_signatures(user_id, master.ok_or(UploadSigningKeysError::NoMasterKey)?, &keys.0)?;
    let replaced: Vec<String> = new
        .iter()
        .filter_map(|key| find(key.usage).filter(|old| old.public_half != key.public_half))
        .map(|old| old.public_half.clone())
        .collect();
    let others = before.iter().filter(|old| !new.iter().any(|key| key.usage == old.usage));
    check_ids(&mut tx, user_id, &new, others).await?;
    let rows: Vec<_> = new.iter().map(|key| (key.usage, key.json.clone())).collect();
    tx.cross_signing().set(user_id, &rows, &replaced).await?;
    publish(&mut tx, user_id, &new);
    tx.commit().await?;
    Ok(())
}

async fn list_stored(tx: &mut Tx, user_id: &UserId) -> Result<Vec<SigningKey>, StorageError> {
    let rows = tx.cross_signing().list(user_id).await?;
    let keys = rows.into_iter().map(|(usage, json)| {
        let inconsistent = StorageError::foreign("cross_signing_keys.key");
        let value: Value = serde_json::from_str(&json).map_err(inconsistent)?;
        SigningKey::read(user_id, usage, &value)
            .map_err(StorageError::foreign("cross_signing_keys.key"))
    });
    keys.collect()
}

/// The master key signs the others.
fn check_signatures(
    user_id: &UserId,
    master: &SigningKey,
    keys: &[SigningKey],
) -> Result<(), UploadSigningKeysError> {
    let signed = keys.iter().filter(|key| key.usage != KeyUsage::Master);
    for key in signed {
        if !master.has_signed(user_id, &key.json) {
            return Err(UploadSigningKeysError::InvalidSignature(key.usage));
        }
    }
    Ok(())
}

/// No key has the ID of another one, or of a device.
async fn check_ids(
    tx: &mut Tx,
    user_id: &UserId,
    new: &[&SigningKey],
    others: impl Iterator<Item = &SigningKey>,
) -> Result<(), UploadSigningKeysError> {
    let names: Vec<String> = new.iter().map(|key| key.public_half.clone()).collect();
    let mut seen: BTreeSet<&str> = others.map(|key| &*key.public_half).collect();
    let are_distinct = names.iter().all(|name| seen.insert(name));
    if !are_distinct || tx.cross_signing().is_device(user_id, &names).await? {
        return Err(UploadSigningKeysError::KeyInUse);
    }
    Ok(())
}

/// Others see a user's master and self-signing keys, the user alone the user-signing key.
fn publish(tx: &mut Tx, user_id: &UserId, new: &[&SigningKey]) {
    if new.iter().any(|key| key.usage != KeyUsage::UserSigning) {
        tx.cross_signing().publish_keys(user_id);
    } else {
        tx.cross_signing().publish_signed(user_id, &[user_id.to_owned()]);
    }
}
