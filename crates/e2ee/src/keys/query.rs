//! Reading the keys of users.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use myelin_storage::{
    StorageError,
    e2ee::{CrossSigningKey, KeySignature, KeyUsage, QueriedDevice, QueriedKeys},
};
use ruma::{OwnedDeviceId, OwnedUserId, UserId};
use serde_json::{Map, Value, json};

use super::failures;
use crate::{
    E2ee,
    cross_signing::public_half,
    signed::{add_signature, stored},
};

/// The number of users whose keys are asked for at once. Clients ask for some hundred.
const USERS_MAX: usize = 10_000;

/// The reason why no keys are read.
#[derive(Debug, thiserror::Error)]
pub enum QueryKeysError {
    #[error("Keys of at most {USERS_MAX} users can be asked for at once")]
    TooMany,
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// The keys of users, as the answer to `reader` has them. For each user all devices, or those that are named. Users who have none
/// stand there with nothing.
pub async fn query_keys(
    e2ee: &E2ee,
    reader: &UserId,
    wanted: &BTreeMap<OwnedUserId, BTreeSet<OwnedDeviceId>>,
) -> Result<Value, QueryKeysError> {
    if wanted.len() > USERS_MAX {
        return Err(QueryKeysError::TooMany);
    }
    let local: Vec<OwnedUserId> =
        wanted.keys().filter(|user_id| e2ee.is_local(user_id)).cloned().collect();
    let keys = if local.is_empty() {
        QueriedKeys::default()
    } else {
        e2ee.db().query_keys(&local, reader).await?
    };
    let signatures = Signatures::of(&keys.signatures);
    let mut devices: BTreeMap<OwnedUserId, Map<String, Value>> =
        local.into_iter().map(|user_id| (user_id, Map::new())).collect();
    for device in keys.devices {
        let named = wanted.get(&device.user_id);
        let is_wanted = named.is_some_and(|ids| ids.is_empty() || ids.contains(&device.device_id));
        if is_wanted
            && let Some(shown) = show_device(&device, &signatures)
            && let Some(of_user) = devices.get_mut(&device.user_id)
        {
            of_user.insert(device.device_id.to_string(), shown);
        }
    }
    let (mut master, mut self_signing, mut user_signing) = (Map::new(), Map::new(), Map::new());
    for key in keys.cross_signing {
        let list = match key.usage {
            KeyUsage::Master => &mut master,
            KeyUsage::SelfSigning => &mut self_signing,
            KeyUsage::UserSigning if *key.user_id == *reader => &mut user_signing,
            // Nobody sees the user-signing keys of others.
            KeyUsage::UserSigning => continue,
        };
        if let Some(shown) = show_cross_signing(&key, &signatures) {
            list.insert(key.user_id.to_string(), shown);
        }
    }
    Ok(json!({
        "device_keys": devices,
        "failures": failures(e2ee, wanted.keys().map(|user_id| &**user_id)),
        "master_keys": master,
        "self_signing_keys": self_signing,
        "user_signing_keys": user_signing,
    }))
}

/// The signatures that came later, by the user and the key that they are of.
struct Signatures<'k>(HashMap<(&'k UserId, &'k str), Vec<&'k KeySignature>>);

impl<'k> Signatures<'k> {
    fn of(signatures: &'k [KeySignature]) -> Self {
        let mut by_target: HashMap<_, Vec<&KeySignature>> = HashMap::new();
        for signature in signatures {
            let target = (&*signature.target_user_id, &*signature.target_id);
            by_target.entry(target).or_default().push(signature);
        }
        Self(by_target)
    }

    fn add_to(&self, object: &mut Map<String, Value>, user_id: &UserId, target_id: &str) {
        for signature in self.0.get(&(user_id, target_id)).into_iter().flatten() {
            add_signature(object, signature);
        }
    }
}

fn show_device(device: &QueriedDevice, signatures: &Signatures<'_>) -> Option<Value> {
    let mut object = stored(&device.keys)?;
    signatures.add_to(&mut object, &device.user_id, device.device_id.as_str());
    let unsigned = match &device.display_name {
        Some(name) => json!({ "device_display_name": name }),
        None => json!({}),
    };
    object.insert("unsigned".to_owned(), unsigned);
    Some(object.into())
}

fn show_cross_signing(key: &CrossSigningKey, signatures: &Signatures<'_>) -> Option<Value> {
    let mut object = stored(&key.key)?;
    if let Some(public_half) = public_half(&object).map(ToOwned::to_owned) {
        signatures.add_to(&mut object, &key.user_id, &public_half);
    }
    Some(object.into())
}
