//! Keys of a device as clients send them.

use std::collections::BTreeSet;

use myelin_storage::e2ee::OneTimeKey;
use serde_json::{Map, Value};

use crate::signed::canonical;

/// The length of a key's ID, with its algorithm.
const KEY_ID_LENGTH_BYTES_MAX: usize = 255;

/// The size of a one-time key or fallback key, as JSON. Signed ones have some 250 bytes.
const KEY_SIZE_BYTES_MAX: usize = 16_384;

/// The size of a device's identity keys, as JSON. They have some 700 bytes.
const DEVICE_KEYS_SIZE_BYTES_MAX: usize = 65_536;

/// The reason why keys are refused. None of the request is stored then.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKeys {
    #[error("{0}")]
    Malformed(String),
    #[error("{0} too large")]
    TooLarge(&'static str),
}

/// Keys that a client uploads for its device.
#[derive(Debug)]
pub struct UploadedKeys {
    pub(super) device_keys: Option<DeviceKeys>,
    pub(super) one_time_keys: Vec<OneTimeKey>,
    pub(super) fallback_keys: Vec<OneTimeKey>,
}

/// The identity keys of a device.
#[derive(Debug)]
pub(super) struct DeviceKeys {
    /// The user and the device that they say to be of.
    pub(super) user_id: String,
    pub(super) device_id: String,
    pub(super) object: Map<String, Value>,
    /// The same as canonical JSON.
    pub(super) json: String,
}

impl UploadedKeys {
    /// Read the body of an upload.
    pub fn read(mut body: Map<String, Value>) -> Result<Self, InvalidKeys> {
        let device_keys = body.remove("device_keys").map(DeviceKeys::read).transpose()?;
        let one_time_keys = keys(&mut body, "one_time_keys")?;
        let fallback_keys = keys(&mut body, "fallback_keys")?;
        let algorithms: BTreeSet<&String> =
            fallback_keys.iter().map(|key| &key.algorithm).collect();
        if algorithms.len() < fallback_keys.len() {
            return Err(malformed("fallback_keys must have one key for each algorithm"));
        }
        Ok(Self { device_keys, one_time_keys, fallback_keys })
    }

    /// Nothing is uploaded.
    pub(super) fn is_empty(&self) -> bool {
        self.device_keys.is_none() && self.one_time_keys.is_empty() && self.fallback_keys.is_empty()
    }
}

impl DeviceKeys {
    fn read(value: Value) -> Result<Self, InvalidKeys> {
        let json =
            canonical(&value).ok_or_else(|| malformed("device_keys is no canonical JSON"))?;
        if json.len() > DEVICE_KEYS_SIZE_BYTES_MAX {
            return Err(InvalidKeys::TooLarge("device_keys are"));
        }
        let Value::Object(object) = value else {
            return Err(malformed("device_keys must be an object"));
        };
        let is_text = |value: &Value| value.is_string();
        let algorithms = object.get("algorithms").and_then(Value::as_array);
        if !algorithms.is_some_and(|algorithms| algorithms.iter().all(is_text)) {
            return Err(malformed("device_keys.algorithms must be a list of strings"));
        }
        let keys = object.get("keys").and_then(Value::as_object);
        if !keys.is_some_and(|keys| keys.values().all(is_text)) {
            return Err(malformed("device_keys.keys must be an object of strings"));
        }
        check_signatures(&object)?;
        let text = |name: &str| {
            let text = object.get(name).and_then(Value::as_str).map(ToOwned::to_owned);
            text.ok_or_else(|| malformed(format!("device_keys.{name} must be a string")))
        };
        Ok(Self { user_id: text("user_id")?, device_id: text("device_id")?, object, json })
    }
}

/// The one-time keys or fallback keys in a body. None if they are missing, or null.
fn keys(body: &mut Map<String, Value>, name: &'static str) -> Result<Vec<OneTimeKey>, InvalidKeys> {
    match body.remove(name) {
        None | Some(Value::Null) => Ok(vec![]),
        Some(Value::Object(keys)) => {
            keys.into_iter().map(|(id, value)| key(name, &id, &value)).collect()
        }
        Some(_) => Err(malformed(format!("{name} must be an object"))),
    }
}

fn key(name: &str, id: &str, value: &Value) -> Result<OneTimeKey, InvalidKeys> {
    let (algorithm, key_id) = id
        .split_once(':')
        .filter(|(_, key_id)| !key_id.contains(':') && !id.contains('\0'))
        .ok_or_else(|| malformed(format!("Invalid {name} key {id:?}: not <algorithm>:<key_id>")))?;
    if id.len() > KEY_ID_LENGTH_BYTES_MAX {
        return Err(InvalidKeys::TooLarge("the ID of a key is"));
    }
    match value {
        Value::String(_) => {}
        Value::Object(object) => {
            let has_key = object.get("key").is_some_and(Value::is_string);
            let fallback = object.get("fallback").unwrap_or(&Value::Null);
            if !has_key || !(fallback.is_null() || fallback.is_boolean()) {
                return Err(malformed(format!("{name} has a malformed key")));
            }
            check_signatures(object)?;
        }
        _ => return Err(malformed(format!("{name} must have strings and objects"))),
    }
    let key = canonical(value).ok_or_else(|| malformed(format!("{name} is no canonical JSON")))?;
    if key.len() > KEY_SIZE_BYTES_MAX {
        return Err(InvalidKeys::TooLarge("a key is"));
    }
    Ok(OneTimeKey { algorithm: algorithm.to_owned(), key_id: key_id.to_owned(), key })
}

/// Signatures are `{user: {key ID: signature}}`.
fn check_signatures(object: &Map<String, Value>) -> Result<(), InvalidKeys> {
    let signatures = object.get("signatures").and_then(Value::as_object);
    let is_signatures =
        |of_user: &Value| of_user.as_object().is_some_and(|all| all.values().all(Value::is_string));
    if signatures.is_some_and(|signatures| signatures.values().all(is_signatures)) {
        Ok(())
    } else {
        Err(malformed("signatures must be an object of objects of strings"))
    }
}

fn malformed(message: impl Into<String>) -> InvalidKeys {
    InvalidKeys::Malformed(message.into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(body: Value) -> Result<UploadedKeys, InvalidKeys> {
        let Value::Object(body) = body else { unreachable!() };
        UploadedKeys::read(body)
    }

    #[test]
    fn keys_are_read_as_they_are_sent() {
        let keys = read(json!({
            "one_time_keys": {"signed_curve25519:b": {"key": "k", "signatures": {}}, "curve25519:a": "k"},
            "fallback_keys": {"signed_curve25519:f": {"fallback": true, "key": "k", "signatures": {}}},
        }));
        let keys = keys.unwrap();
        let shown: Vec<_> =
            keys.one_time_keys.iter().map(|key| (&*key.algorithm, &*key.key)).collect();
        assert_eq!(
            shown,
            [("curve25519", "\"k\""), ("signed_curve25519", r#"{"key":"k","signatures":{}}"#)]
        );
        assert_eq!(keys.fallback_keys[0].key_id, "f");
        assert!(read(json!({"one_time_keys": null, "fallback_keys": {}})).unwrap().is_empty());
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let key = |id: &str, key: Value| json!({"one_time_keys": {id: key}});
        let device = |change: Value| {
            let mut keys = json!({"user_id": "@a:h", "device_id": "D", "algorithms": [], "keys": {}, "signatures": {}});
            for (name, value) in change.as_object().unwrap() {
                keys[name] = value.clone();
            }
            json!({ "device_keys": keys })
        };
        for body in [
            key("no_colon", json!("k")),
            key("two:colons:here", json!("k")),
            key("a:nul\0", json!("k")),
            key("a:b", json!(7)),
            key("a:b", json!({"signatures": {}})),
            key("a:b", json!({"key": "k"})),
            key("a:b", json!({"key": "k", "signatures": {"@a:h": {"x": 7}}})),
            key("a:b", json!({"key": "k", "signatures": {}, "fallback": "yes"})),
            key("a:b", json!({"key": "k", "signatures": {}, "x": 1.5})),
            json!({"one_time_keys": []}),
            json!({"fallback_keys": {"a:b": "k", "a:c": "k"}}),
            json!({"device_keys": null}),
            device(json!({"algorithms": "x"})),
            device(json!({"keys": {"a": 7}})),
            device(json!({"signatures": null})),
            device(json!({"user_id": 7})),
            device(json!({"x": 1e300})),
        ] {
            assert!(matches!(read(body.clone()), Err(InvalidKeys::Malformed(_))), "{body}");
        }
        for body in [
            key(&format!("a:{}", "b".repeat(254)), json!("k")),
            key("a:b", json!("k".repeat(KEY_SIZE_BYTES_MAX))),
            device(json!({"x": "x".repeat(DEVICE_KEYS_SIZE_BYTES_MAX)})),
        ] {
            assert!(matches!(read(body), Err(InvalidKeys::TooLarge(_))));
        }
        assert!(read(device(json!({}))).unwrap().device_keys.is_some());
    }
}
