//! Reading what endpoints about rooms share: IDs in the path, raw JSON in the body, the caller's standing.

use myelin_http::{ApiError, Raw};
use ruma::{OwnedRoomId, OwnedUserId, RoomId, UserId};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Map, Value};

/// The prefixes under which Synapse serves endpoints older than the versions of the specification.
const PREFIXES: [&str; 3] = ["/_matrix/client/v3", "/_matrix/client/r0", "/_matrix/client/api/v1"];

/// A path under all prefixes.
pub(crate) fn paths(path: &str) -> Vec<String> {
    PREFIXES.iter().map(|prefix| format!("{prefix}{path}")).collect()
}

/// The room ID at a place of the path.
pub(crate) fn room_id_at(raw: &Raw, index: usize) -> Result<OwnedRoomId, ApiError> {
    parse_room_id(raw.path_arg(index)?)
}

/// A text that must be a room ID.
pub(crate) fn parse_room_id(text: &str) -> Result<OwnedRoomId, ApiError> {
    RoomId::parse(text)
        .map_err(|_| ApiError::invalid_param(format!("{text} was not legal room ID")))
}

/// The body as text that is JSON. Nothing at all counts as `{}` if `may_be_empty`.
pub(crate) fn json_text(raw: &Raw, may_be_empty: bool) -> Result<&str, ApiError> {
    if may_be_empty && raw.body.is_empty() {
        return Ok("{}");
    }
    let text = std::str::from_utf8(&raw.body).map_err(|_| ApiError::not_json())?;
    serde_json::from_str::<IgnoredAny>(text).map_err(|_| ApiError::not_json())?;
    Ok(text)
}

/// The `user_id` of a body.
pub(crate) fn user_id_in(body: &Map<String, Value>) -> Result<OwnedUserId, ApiError> {
    let user_id = match body.get("user_id") {
        Some(Value::String(user_id)) => user_id,
        Some(_) => return Err(ApiError::bad_json("user_id must be a string")),
        None => return Err(ApiError::missing_param("Missing params: ['user_id']")),
    };
    UserId::parse(user_id)
        .map_err(|_| ApiError::invalid_param(format!("Expected UserID string, got {user_id}")))
}

/// A member event's content with the `reason` of a body only.
pub(crate) fn reason_of(body: &Map<String, Value>) -> Map<String, Value> {
    body.get("reason").map(|reason| ("reason".to_owned(), reason.clone())).into_iter().collect()
}

#[derive(Deserialize)]
struct Timestamp {
    ts: Option<u64>,
}

/// The time that an application service gives its event.
pub(crate) fn timestamp(raw: &Raw) -> Result<Option<u64>, ApiError> {
    if raw.requester.appservice_id().is_none() {
        return Ok(None);
    }
    Ok(raw.query::<Timestamp>()?.ts)
}
