//! Cross-signing keys as clients send them.

use myelin_events::PublicKey;
use myelin_storage::e2ee::KeyUsage;
use ruma::UserId;
use serde_json::{Map, Value};

use crate::signed::canonical;

/// The size of a cross-signing key, as JSON. They have some 500 bytes, and some 150 more for each device that signed.
const SIGNING_KEY_SIZE_BYTES_MAX: usize = 65_536;

/// A key in a body is no cross-signing key of its sender.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSigningKey {
    #[error("Invalid {} key", .0.as_str())]
    Malformed(KeyUsage),
    #[error("The {} key is too large", .0.as_str())]
    TooLarge(KeyUsage),
}

/// Cross-signing keys that a client uploads.
#[derive(Debug)]
pub struct UploadedSigningKeys(pub(super) Vec<SigningKey>);

/// A cross-signing key.
#[derive(Debug, Clone)]
pub(super) struct SigningKey {
    pub(super) usage: KeyUsage,
    /// The key as canonical JSON.
    pub(super) json: String,
    /// The ID by which signatures name it, `ed25519:<public half>`.
    pub(super) id: String,
    pub(super) public_half: String,
    key: PublicKey,
}

impl UploadedSigningKeys {
    /// Read the keys in a body.
    pub fn read(user_id: &UserId, body: &Map<String, Value>) -> Result<Self, InvalidSigningKey> {
        let mut keys = vec![];
        for usage in KeyUsage::ALL {
            if let Some(value) = body.get(name_of(usage)) {
                keys.push(SigningKey::read(user_id, usage, value)?);
            }
        }
        Ok(Self(keys))
    }

    /// Nothing is uploaded.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn find(&self, usage: KeyUsage) -> Option<&SigningKey> {
        self.0.iter().find(|key| key.usage == usage)
    }
}

/// The name of a key in a body.
fn name_of(usage: KeyUsage) -> &'static str {
    match usage {
        KeyUsage::Master => "master_key",
        KeyUsage::SelfSigning => "self_signing_key",
        KeyUsage::UserSigning => "user_signing_key",
    }
}

impl SigningKey {
    /// Read a key of a user.
    pub(super) fn read(
        user_id: &UserId,
        usage: KeyUsage,
        value: &Value,
    ) -> Result<Self, InvalidSigningKey> {
        let malformed = InvalidSigningKey::Malformed(usage);
        let json = canonical(value);
        if json.as_ref().is_some_and(|json| json.len() > SIGNING_KEY_SIZE_BYTES_MAX) {
            return Err(InvalidSigningKey::TooLarge(usage));
        }
        json.and_then(|json| Self::find(user_id, usage, value, json)).ok_or(malformed)
    }

    fn find(user_id: &UserId, usage: KeyUsage, value: &Value, json: String) -> Option<Self> {
        let object = value.as_object()?;
        let is_own = object.get("user_id")? == user_id.as_str();
        let usages = object.get("usage")?.as_array()?;
        if !is_own || !usages.iter().any(|name| name == usage.as_str()) {
            return None;
        }
        let public_half = public_half(object)?;
        Some(Self {
            usage,
            json,
            id: format!("ed25519:{public_half}"),
            public_half: public_half.to_owned(),
            key: PublicKey::from_base64(public_half)?,
        })
    }

    /// Whether an object has a signature of `user_id` by this key.
    pub(super) fn has_signed(&self, user_id: &UserId, json: &str) -> bool {
        self.key.verifies_json(user_id.as_str(), &self.id, json)
    }
}

/// The public half of a cross-signing key. `None` unless it has that one key, under the ID that follows from it.
pub(crate) fn public_half(key: &Map<String, Value>) -> Option<&str> {
    let keys = key.get("keys")?.as_object()?;
    let mut keys = keys.iter();
    let (id, public_half) = (keys.next()?, keys.next());
    let (id, public_half) = (id.0, public_half.is_none().then_some(id.1)?.as_str()?);
    (id.strip_prefix("ed25519:")? == public_half).then_some(public_half)
}

#[cfg(test)]
mod tests {
    use ruma::user_id;
    use serde_json::json;

    use super::*;

    const PUBLIC: &str = "XGX0JRS2Af3be3knz2fBiRbApjm2Dh61gXDJA8kcJNI";

    fn read(change: impl FnOnce(&mut Value)) -> Result<UploadedSigningKeys, InvalidSigningKey> {
        let mut key = json!({"user_id": "@a:h", "usage": ["master"], "keys": {format!("ed25519:{PUBLIC}"): PUBLIC}});
        change(&mut key);
        let body = json!({ "master_key": key });
        UploadedSigningKeys::read(user_id!("@a:h"), body.as_object().unwrap())
    }

    #[test]
    fn keys_are_of_their_sender_and_for_their_use() {
        let keys = read(|_| {}).unwrap();
        assert_eq!(keys.find(KeyUsage::Master).unwrap().public_half, PUBLIC);
        assert!(keys.find(KeyUsage::SelfSigning).is_none() && !keys.is_empty());
        let changes: [fn(&mut Value); 9] = [
            |key| key["user_id"] = json!("@b:h"),
            |key| key["usage"] = json!(["self_signing"]),
            |key| key["usage"] = json!("master"),
            |key| key["keys"] = json!({}),
            |key| key["keys"] = json!([]),
            |key| key["keys"]["ed25519:x"] = json!(PUBLIC),
            |key| key["keys"] = json!({"ed25519:x": PUBLIC}),
            |key| key["keys"] = json!({"ed25519:nonsense": "nonsense"}),
            |key| key["x"] = json!(1.5),
        ];
        for (number, change) in changes.into_iter().enumerate() {
            let error = read(change).unwrap_err();
            assert_eq!(error, InvalidSigningKey::Malformed(KeyUsage::Master), "{number}");
            assert_eq!(error.to_string(), "Invalid master key");
        }
        let large = read(|key| key["x"] = json!("x".repeat(SIGNING_KEY_SIZE_BYTES_MAX)));
        assert_eq!(large.unwrap_err(), InvalidSigningKey::TooLarge(KeyUsage::Master));
    }
}
