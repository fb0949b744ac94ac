//! Uploading signatures of keys.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use myelin_events::PublicKey;
use myelin_storage::{
    StorageError,
    e2ee::{KeySignature, KeyUsage, QueriedKeys},
};
use ruma::{OwnedUserId, UserId};
use serde_json::{Map, Value};

use super::key::SigningKey;
use crate::{
    E2ee,
    signed::{add_signature, have_same_content, signatures_of, stored},
};

/// The number of keys that one request signs. Clients sign one, or all of a user's devices.
const SIGNED_KEYS_MAX: usize = 1_000;

/// The reason why no signature is stored.
#[derive(Debug, thiserror::Error)]
pub enum UploadSignaturesError {
    #[error("Invalid parameter")]
    Malformed,
    #[error("At most {SIGNED_KEYS_MAX} keys can be signed at once")]
    TooMany,
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// The reason why a signature is not stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    #[error("Invalid signature")]
    InvalidSignature,
    #[error("No {} key found for {user_id}", .usage.as_str())]
    NoKey { usage: KeyUsage, user_id: String },
    #[error("Unknown device")]
    UnknownDevice,
    /// The key that was signed is not the one that is stored.
    #[error("Key does not match")]
    OtherKey,
}

/// A key whose signature is not stored.
#[derive(Debug)]
pub struct SignatureFailure {
    /// The user whose key it is.
    pub user_id: String,
    /// Its device, or its public half.
    pub key_id: String,
    pub error: SignatureError,
}

/// Store the signatures in a body, `{user: {key: signed object}}`: those of the user's own devices by the self-signing key, of the own
/// master key by own devices, and of the master keys of others by the user-signing key. The others are given back.
pub async fn upload_signatures(
    e2ee: &E2ee,
    user_id: &UserId,
    body: &Map<String, Value>,
) -> Result<Vec<SignatureFailure>, UploadSignaturesError> {
    let (mut failures, mut new) = (vec![], vec![]);
    let targets = read(body)?;
    let known: BTreeSet<OwnedUserId> =
        targets.iter().filter_map(|target| UserId::parse(target.user_id).ok()).collect();
    let wanted: Vec<OwnedUserId> = known.into_iter().chain([user_id.to_owned()]).collect();
    let keys = Keys::of(e2ee.db().query_keys(&wanted, user_id).await?);
    for target in targets {
        let signed = if target.user_id == user_id.as_str() {
            keys.sign_own(user_id, &target)
        } else {
            keys.sign_other(user_id, &target)
        };
        match signed {
            Ok(signatures) => new.extend(signatures),
            Err(error) => failures.push(SignatureFailure {
                user_id: target.user_id.to_owned(),
                key_id: target.id.to_owned(),
                error,
            }),
        }
    }
    store(e2ee, user_id, &new).await?;
    Ok(failures)
}

/// A signed key in a body.
struct Target<'b> {
    user_id: &'b str,
    /// The device, or the public half of a cross-signing key.
    id: &'b str,
    object: &'b Map<String, Value>,
}

fn read(body: &Map<String, Value>) -> Result<Vec<Target<'_>>, UploadSignaturesError> {
    let mut targets = vec![];
    for (user_id, keys) in body {
        for (id, object) in keys.as_object().ok_or(UploadSignaturesError::Malformed)? {
            let object = object.as_object().ok_or(UploadSignaturesError::Malformed)?;
            targets.push(Target { user_id, id, object });
        }
    }
    if targets.len() > SIGNED_KEYS_MAX {
        return Err(UploadSignaturesError::TooMany);
    }
    Ok(targets)
}

/// Store signatures, and tell of them.
async fn store(
    e2ee: &E2ee,
    user_id: &UserId,
    new: &[KeySignature],
) -> Result<(), UploadSignaturesError> {
    if new.is_empty() {
        return Ok(());
    }
    let mut tx = e2ee.db().begin().await?;
    tx.cross_signing().add_signatures(new).await?;
    let signed: BTreeSet<OwnedUserId> =
        new.iter().map(|signature| signature.target_user_id.clone()).collect();
    let (own, others): (Vec<_>, Vec<_>) =
        signed.into_iter().partition(|signed| *signed == *user_id);
    if !own.is_empty() {
        tx.cross_signing().publish_keys(user_id);
    }
    if !others.is_empty() {
        tx.cross_signing().publish_signed(user_id, &others);
    }
    tx.commit().await?;
    Ok(())
}

/// The stored keys of those whom a request is about, with the signatures that they have.
struct Keys {
    devices: HashMap<(OwnedUserId, String), Map<String, Value>>,
    cross_signing: BTreeMap<(OwnedUserId, KeyUsage), (SigningKey, Map<String, Value>)>,
}

impl Keys {
    fn of(queried: QueriedKeys) -> Self {
        let mut keys = Self { devices: HashMap::new(), cross_signing: BTreeMap::new() };
        for device in queried.devices {
            if let Some(object) = stored(&device.keys) {
                keys.devices.insert((device.user_id, device.device_id.to_string()), object);
            }
        }
        for key in queried.cross_signing {
            let Some(object) = stored(&key.key) else { continue };
            let value = Value::Object(object.clone());
            if let Ok(read) = SigningKey::read(&key.user_id, key.usage, &value) {
                keys.cross_signing.insert((key.user_id, key.usage), (read, object));
            }
        }
        for signature in &queried.signatures {
            keys.add(signature);
        }
        keys
    }

    fn add(&mut self, signature: &KeySignature) {
        let target = (signature.target_user_id.clone(), signature.target_id.clone());
        if let Some(device) = self.devices.get_mut(&target) {
            add_signature(device, signature);
        }
        for ((user_id, _), (key, object)) in &mut self.cross_signing {
            if *user_id == signature.target_user_id && key.public_half == signature.target_id {
                add_signature(object, signature);
            }
        }
    }

    fn get(
        &self,
        user_id: &str,
        usage: KeyUsage,
    ) -> Result<&(SigningKey, Map<String, Value>), SignatureError> {
        let no_key = || SignatureError::NoKey { usage, user_id: user_id.to_owned() };
        let user = UserId::parse(user_id).map_err(|_| no_key())?;
        self.cross_signing.get(&(user, usage)).ok_or_else(no_key)
    }

    /// The signatures of one of the user's own keys that are not there yet.
    fn sign_own(
        &self,
        user_id: &UserId,
        target: &Target<'_>,
    ) -> Result<Vec<KeySignature>, SignatureError> {
        let master = self.get(target.user_id, KeyUsage::Master);
        if let Ok((master, object)) = master
            && master.public_half == target.id
        {
            return self.sign_own_master(user_id, target, object);
        }
        let (signing_key, _) = self.get(target.user_id, KeyUsage::SelfSigning)?;
        let device = self.devices.get(&(user_id.to_owned(), target.id.to_owned()));
        let device = device.ok_or(SignatureError::UnknownDevice)?;
        sign(user_id, signing_key, user_id, target, device)
    }

    /// The signatures of the user's master key by devices.
    fn sign_own_master(
        &self,
        user_id: &UserId,
        target: &Target<'_>,
        master: &Map<String, Value>,
    ) -> Result<Vec<KeySignature>, SignatureError> {
        let sent = signatures_of(target.object, user_id).ok_or(SignatureError::InvalidSignature)?;
        if !have_same_content(target.object, master) {
            return Err(SignatureError::OtherKey);
        }
        let known = signatures_of(master, user_id);
        let mut new = vec![];
        for (key_id, signature) in sent {
            if known.is_some_and(|known| known.contains_key(key_id)) {
                continue;
            }
            let key = self.device_key(user_id, key_id).ok_or(SignatureError::InvalidSignature)?;
            let json = Value::from(target.object.clone()).to_string();
            if !key.verifies_json(user_id.as_str(), key_id, &json) {
                return Err(SignatureError::InvalidSignature);
            }
            new.push(new_signature(user_id, key_id, user_id, target.id, signature)?);
        }
        Ok(new)
    }

    /// The key of a user's device that has this ID, `ed25519:<device>`.
    fn device_key(&self, user_id: &UserId, key_id: &str) -> Option<PublicKey> {
        let device_id = key_id.strip_prefix("ed25519:")?;
        let device = self.devices.get(&(user_id.to_owned(), device_id.to_owned()))?;
        PublicKey::from_base64(device.get("keys")?.get(key_id)?.as_str()?)
    }

    /// The signature of another user's master key, if it is not there yet.
    fn sign_other(
        &self,
        user_id: &UserId,
        target: &Target<'_>,
    ) -> Result<Vec<KeySignature>, SignatureError> {
        let (signing_key, _) = self.get(user_id.as_str(), KeyUsage::UserSigning)?;
        let (master, object) = self.get(target.user_id, KeyUsage::Master)?;
        if master.public_half != target.id {
            return Err(SignatureError::UnknownDevice);
        }
        let owner = UserId::parse(target.user_id).map_err(|_| SignatureError::UnknownDevice)?;
        sign(user_id, signing_key, &owner, target, object)
    }
}

/// The signature of a key by a cross-signing key, if the stored key does not have it yet.
fn sign(
    signer_id: &UserId,
    signing_key: &SigningKey,
    owner: &UserId,
    target: &Target<'_>,
    stored: &Map<String, Value>,
) -> Result<Vec<KeySignature>, SignatureError> {
    let sent = signatures_of(target.object, signer_id);
    let signature = sent
        .and_then(|signatures| signatures.get(&signing_key.id))
        .ok_or(SignatureError::InvalidSignature)?;
    let known = signatures_of(stored, signer_id);
    if known.is_some_and(|known| known.contains_key(&signing_key.id)) {
        return Ok(vec![]);
    }
    if !have_same_content(target.object, stored) {
        return Err(SignatureError::OtherKey);
    }
    if !signing_key.has_signed(signer_id, &Value::from(target.object.clone()).to_string()) {
        return Err(SignatureError::InvalidSignature);
    }
    Ok(vec![new_signature(signer_id, &signing_key.id, owner, target.id, signature)?])
}

fn new_signature(
    signer_id: &UserId,
    key_id: &str,
    owner: &UserId,
    target_id: &str,
    signature: &Value,
) -> Result<KeySignature, SignatureError> {
    let signature = signature.as_str().ok_or(SignatureError::InvalidSignature)?;
    Ok(KeySignature {
        target_user_id: owner.to_owned(),
        target_id: target_id.to_owned(),
        signer_id: signer_id.to_owned(),
        key_id: key_id.to_owned(),
        signature: signature.to_owned(),
    })
}
