//! Claiming keys of devices, to begin a conversation with them.

use std::collections::BTreeMap;

use myelin_storage::{StorageError, e2ee::KeyWanted};
use ruma::{OwnedDeviceId, OwnedUserId};
use serde_json::{Map, Value, json};

use super::failures;
use crate::E2ee;

/// The number of devices of which keys are claimed at once. Clients claim some hundred.
const DEVICES_MAX: usize = 10_000;

/// The reason why no keys are claimed.
#[derive(Debug, thiserror::Error)]
pub enum ClaimKeysError {
    #[error("Keys of at most {DEVICES_MAX} devices can be claimed at once")]
    TooMany,
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Claim a key of each device: the answer. Devices without keys are passed over.
pub async fn claim_keys(e2ee: &E2ee, wanted: &[KeyWanted]) -> Result<Value, ClaimKeysError> {
    if wanted.len() > DEVICES_MAX {
        return Err(ClaimKeysError::TooMany);
    }
    let local: Vec<KeyWanted> =
        wanted.iter().filter(|key| e2ee.is_local(&key.user_id)).cloned().collect();
    let claimed = if local.is_empty() { vec![] } else { e2ee.db().claim_keys(&local).await? };
    let mut keys: BTreeMap<OwnedUserId, BTreeMap<OwnedDeviceId, Map<String, Value>>> =
        BTreeMap::new();
    for claimed in claimed {
        // One that cannot be read is of no use to anybody.
        let Ok(key) = serde_json::from_str::<Value>(&claimed.key.key) else { continue };
        let id = format!("{}:{}", claimed.key.algorithm, claimed.key.key_id);
        let of_user = keys.entry(claimed.user_id).or_default();
        of_user.entry(claimed.device_id).or_default().insert(id, key);
    }
    let failures = failures(e2ee, wanted.iter().map(|key| &*key.user_id));
    Ok(json!({ "one_time_keys": keys, "failures": failures }))
}
