//! The keys that a device has left for others to claim (client-server API, "Extensions to /sync"). They stand in every answer: some
//! clients take their absence for a server that knows nothing of them.

use std::collections::BTreeMap;

use myelin_storage::{StorageError, e2ee::KeyCounts};
use serde_json::json;

use super::Pass;

/// The algorithm of the keys that clients look for, which is told even of a device that has none.
const SIGNED_CURVE25519: &str = "signed_curve25519";

/// Write them, as the first part of an answer. It takes at most one query, mostly none.
pub(super) async fn write(pass: &Pass<'_>, out: &mut String) -> Result<(), StorageError> {
    let (mut one_time_keys, mut unused) = (BTreeMap::new(), json!([]));
    if let Some(device_id) = pass.reader.device_id {
        let devices = pass.reader.sync.key_counts(pass.reader.user_id).await?;
        let none = KeyCounts::default();
        let counts = devices.get(device_id).unwrap_or(&none);
        one_time_keys.insert(SIGNED_CURVE25519.to_owned(), 0);
        one_time_keys.extend(counts.one_time_keys.clone());
        unused = json!(counts.unused_fallback_keys);
    }
    let one_time_keys = json!(one_time_keys);
    out.push_str(&format!(
        "\"device_one_time_keys_count\":{one_time_keys},\"device_unused_fallback_key_types\":{unused}"
    ));
    Ok(())
}
