//! Filters that clients store and name when they sync (client-server API, "Filtering").

use myelin_storage::StorageError;
use ruma::{RoomId, UserId};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::Accounts;

/// The size of a filter.
const FILTER_SIZE_BYTES_MAX: usize = 65_536;

/// The reason why a filter is not stored.
#[derive(Debug, thiserror::Error)]
pub enum AddFilterError {
    /// It is not a filter.
    #[error("Invalid filter: {0}")]
    Invalid(String),
    #[error("Filter is too large: max {FILTER_SIZE_BYTES_MAX} bytes")]
    TooLarge,
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Store a filter. The same filter gets the same number.
pub async fn add(
    accounts: &Accounts,
    user_id: &UserId,
    filter: &Map<String, Value>,
) -> Result<i64, AddFilterError> {
    check(filter).map_err(AddFilterError::Invalid)?;
    // The map is sorted, so filters that differ in the order of their keys only are the same.
    let content = serde_json::to_string(filter)
        .map_err(|error| AddFilterError::Invalid(error.to_string()))?;
    if content.len() > FILTER_SIZE_BYTES_MAX {
        return Err(AddFilterError::TooLarge);
    }
    let hash = Sha256::digest(content.as_bytes());
    if let Some(filter_id) = accounts.db().filters().find_id(user_id, &hash).await? {
        return Ok(filter_id);
    }
    let mut tx = accounts.db().begin().await?;
    let filter_id = tx.filters().add(user_id, &hash, &content).await?;
    tx.commit().await?;
    Ok(filter_id)
}

/// Find a filter by its number, as JSON.
pub async fn find(
    accounts: &Accounts,
    user_id: &UserId,
    filter_id: i64,
) -> Result<Option<String>, StorageError> {
    accounts.db().filters().find(user_id, filter_id).await
}

/// Whether it is a filter. Keys that we do not know are no fault.
pub fn check(filter: &Map<String, Value>) -> Result<(), String> {
    check_texts(filter, "event_fields", |_| true)?;
    if let Some(format) = filter.get("event_format")
        && !matches!(format.as_str(), Some("client" | "federation"))
    {
        return Err("event_format must be client or federation".to_owned());
    }
    for key in ["presence", "account_data"] {
        check_event_filter(filter, key)?;
    }
    let Some(room) = filter.get("room") else { return Ok(()) };
    let room = room.as_object().ok_or("room must be an object")?;
    check_rooms(room)?;
    check_flag(room, "include_leave")?;
    for key in ["timeline", "state", "ephemeral", "account_data"] {
        check_event_filter(room, key)?;
    }
    Ok(())
}

fn check_event_filter(parent: &Map<String, Value>, key: &str) -> Result<(), String> {
    let Some(filter) = parent.get(key) else { return Ok(()) };
    let filter = filter.as_object().ok_or_else(|| format!("{key} must be an object"))?;
    if filter.get("limit").is_some_and(|limit| !limit.is_number()) {
        return Err("limit must be a number".to_owned());
    }
    for key in ["senders", "not_senders"] {
        check_texts(filter, key, |id| UserId::parse(id).is_ok())?;
    }
    for key in [
        "types",
        "not_types",
        "related_by_senders",
        "related_by_rel_types",
        "org.matrix.msc3874.rel_types",
        "org.matrix.msc3874.not_rel_types",
    ] {
        check_texts(filter, key, |_| true)?;
    }
    for key in [
        "lazy_load_members",
        "include_redundant_members",
        "contains_url",
        "unread_thread_notifications",
    ] {
        check_flag(filter, key)?;
    }
    check_rooms(filter)
}

fn check_rooms(filter: &Map<String, Value>) -> Result<(), String> {
    for key in ["rooms", "not_rooms"] {
        check_texts(filter, key, |id| RoomId::parse(id).is_ok())?;
    }
    Ok(())
}

fn check_flag(filter: &Map<String, Value>, key: &str) -> Result<(), String> {
    match filter.get(key) {
        None | Some(Value::Bool(_)) => Ok(()),
        Some(_) => Err(format!("{key} must be true or false")),
    }
}

fn check_texts(
    filter: &Map<String, Value>,
    key: &str,
    is_allowed: fn(&str) -> bool,
) -> Result<(), String> {
    let Some(list) = filter.get(key) else { return Ok(()) };
    let list = list.as_array().ok_or_else(|| format!("{key} must be a list"))?;
    if list.iter().all(|item| item.as_str().is_some_and(is_allowed)) {
        Ok(())
    } else {
        Err(format!("{key} has an entry that is not allowed"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn filters_are_checked() {
        let cases = [
            (json!({}), true),
            (json!({ "room": { "timeline": { "limit": 10 } }, "org.example": 1 }), true),
            (json!({ "presence": "no" }), false),
            (json!({ "room": { "state": "no" } }), false),
            (json!({ "room": { "timeline": { "types": [1] } } }), false),
            (json!({ "room": { "timeline": { "rooms": ["no"] } } }), false),
            (json!({ "room": { "timeline": { "senders": ["no"] } } }), false),
            (json!({ "event_format": "xml" }), false),
        ];
        for (filter, expected) in cases {
            assert_eq!(check(filter.as_object().unwrap()).is_ok(), expected, "{filter}");
        }
    }
}
