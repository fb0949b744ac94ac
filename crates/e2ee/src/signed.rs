//! Objects that are signed: their content, and the signatures beside it.

use myelin_events::canonical::to_canonical;
use myelin_storage::e2ee::KeySignature;
use ruma::UserId;
use serde_json::{Map, Value};

/// The canonical text of an object. `None`: it has none, since a number in it is no integer.
pub(crate) fn canonical(value: &Value) -> Option<String> {
    to_canonical(&value.to_string(), true).ok()
}

/// An object that was stored. `None`: it is none, and counts as missing.
pub(crate) fn stored(json: &str) -> Option<Map<String, Value>> {
    serde_json::from_str(json).ok()
}

/// Whether two objects say the same, whoever signed them.
pub(crate) fn have_same_content(one: &Map<String, Value>, other: &Map<String, Value>) -> bool {
    content(one).eq(content(other))
}

fn content(object: &Map<String, Value>) -> impl Iterator<Item = (&String, &Value)> {
    object.iter().filter(|(name, _)| !matches!(name.as_str(), "signatures" | "unsigned"))
}

/// The signatures of a user in an object, by the ID of the key.
pub(crate) fn signatures_of<'o>(
    object: &'o Map<String, Value>,
    user_id: &UserId,
) -> Option<&'o Map<String, Value>> {
    object.get("signatures")?.get(user_id.as_str())?.as_object()
}

/// Put a signature that came later into the object that it is of.
pub(crate) fn add_signature(object: &mut Map<String, Value>, signature: &KeySignature) {
    let empty = || Value::Object(Map::new());
    let signatures = object.entry("signatures").or_insert_with(empty).as_object_mut();
    let of_signer = signatures.and_then(|signatures| {
        signatures.entry(signature.signer_id.as_str()).or_insert_with(empty).as_object_mut()
    });
    if let Some(of_signer) = of_signer {
        of_signer.insert(signature.key_id.clone(), signature.signature.as_str().into());
    }
}
