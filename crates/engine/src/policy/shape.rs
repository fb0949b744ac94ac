//! The form that the contents of well-known types must have, as Synapse asks it of its own users' events.

use myelin_events::Pdu;
use serde_json::{Map, Value};

/// The reason why a content is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// The content lacks this field.
    #[error("'{0}' not in content")]
    Missing(&'static str),
    /// This field of the content must be text.
    #[error("'{0}' must be a string")]
    NotText(&'static str),
    /// Something in the content must be text, or null.
    #[error("'{0}' must be a string or null")]
    NotTextOrNull(&'static str),
    /// Events of this type are state.
    #[error("{0} must be a state event")]
    NotState(Box<str>),
    /// A redaction is no state event.
    #[error("m.room.redaction must not be a state event")]
    RedactionAsState,
    /// A tombstone names the room that it stands in.
    #[error("A room cannot be replaced by itself")]
    ReplacedByItself,
    /// The server ACL would shut this server out.
    #[error("Can't create an ACL event that denies the local server")]
    AclDeniesSelf,
    /// A power level is no integer.
    #[error("{0} must be an integer")]
    NotLevel(String),
    /// A list of power levels is no object of integers.
    #[error("{0} must be an object of integers")]
    NotLevels(&'static str),
    /// `m.mentions` is not what the specification says.
    #[error("m.mentions must have a list of user_ids and a boolean room, if any")]
    Mentions,
    /// A retention policy keeps events for no time that there is.
    #[error(
        "min_lifetime and max_lifetime must be integers, the second one not less than the first"
    )]
    Retention,
}

/// The power levels that are single integers, and those that are objects of integers.
const LEVELS: [&str; 7] =
    ["ban", "events_default", "invite", "kick", "redact", "state_default", "users_default"];
const LEVEL_MAPS: [&str; 3] = ["events", "notifications", "users"];

/// Check an event of this server's. Its content is canonical JSON.
pub(super) fn check(pdu: &Pdu) -> Result<(), ShapeError> {
    let texts: &[&'static str] = match &*pdu.event_type {
        "m.room.message" => &["body", "msgtype"],
        "m.room.topic" => &["topic"],
        "m.room.name" => &["name"],
        "m.room.redaction" => return check_redaction(pdu),
        "m.room.member" | "m.room.tombstone" | "m.room.retention" | "m.room.power_levels" => &[],
        _ if has_mentions(pdu) => &[],
        _ => return Ok(()),
    };
    let content: Map<String, Value> = pdu.content_as().unwrap_or_default();
    for key in texts {
        match content.get(*key) {
            Some(Value::String(_)) => {}
            Some(_) => return Err(ShapeError::NotText(key)),
            None => return Err(ShapeError::Missing(key)),
        }
    }
    match &*pdu.event_type {
        "m.room.topic" | "m.room.name" => check_is_state(pdu)?,
        "m.room.tombstone" => {
            check_is_state(pdu)?;
            let successor = content.get("replacement_room");
            let successor = successor.ok_or(ShapeError::Missing("replacement_room"))?;
            if successor.as_str() == Some(pdu.room_id.as_str()) {
                return Err(ShapeError::ReplacedByItself);
            }
        }
        "m.room.retention" => {
            check_is_state(pdu)?;
            check_retention(&content)?;
        }
        "m.room.power_levels" => check_power_levels(&content)?,
        "m.room.member" => check_profile(&content)?,
        _ => {}
    }
    match content.get("m.mentions") {
        Some(mentions) if !is_mentions(mentions) => Err(ShapeError::Mentions),
        Some(_) | None => Ok(()),
    }
}

/// As state it would redact nothing here and something elsewhere, past the check of the right to redact.
fn check_redaction(pdu: &Pdu) -> Result<(), ShapeError> {
    match pdu.state_key {
        Some(_) => Err(ShapeError::RedactionAsState),
        None => Ok(()),
    }
}

/// A member event says of the user's profile what is text, or nothing.
fn check_profile(content: &Map<String, Value>) -> Result<(), ShapeError> {
    for key in ["displayname", "avatar_url"] {
        match content.get(key) {
            None | Some(Value::Null | Value::String(_)) => {}
            Some(_) => return Err(ShapeError::NotTextOrNull(key)),
        }
    }
    Ok(())
}

fn check_is_state(pdu: &Pdu) -> Result<(), ShapeError> {
    match pdu.state_key {
        Some(_) => Ok(()),
        None => Err(ShapeError::NotState(Box::from(&*pdu.event_type))),
    }
}

fn check_retention(content: &Map<String, Value>) -> Result<(), ShapeError> {
    let lifetime = |key: &str| match content.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value.as_i64().map(Some).ok_or(ShapeError::Retention),
    };
    match (lifetime("min_lifetime")?, lifetime("max_lifetime")?) {
        (Some(min), Some(max)) if min > max => Err(ShapeError::Retention),
        _ => Ok(()),
    }
}

/// Old room versions read texts as levels, too; nobody needs to write them.
fn check_power_levels(content: &Map<String, Value>) -> Result<(), ShapeError> {
    for key in LEVELS {
        if content.get(key).is_some_and(|level| !level.is_i64()) {
            return Err(ShapeError::NotLevel(key.to_owned()));
        }
    }
    for key in LEVEL_MAPS {
        match content.get(key) {
            Some(Value::Object(levels)) => {
                if let Some((name, _)) = levels.iter().find(|(_, level)| !level.is_i64()) {
                    return Err(ShapeError::NotLevel(name.clone()));
                }
            }
            Some(_) => return Err(ShapeError::NotLevels(key)),
            None => {}
        }
    }
    Ok(())
}

/// A key without need of escapes is written in one way only in canonical JSON.
fn has_mentions(pdu: &Pdu) -> bool {
    pdu.content().contains("\"m.mentions\":")
}

fn is_mentions(mentions: &Value) -> bool {
    let Some(mentions) = mentions.as_object() else { return false };
    let users = mentions.get("user_ids").is_none_or(|users| {
        users.as_array().is_some_and(|users| users.iter().all(Value::is_string))
    });
    users && mentions.get("room").is_none_or(Value::is_boolean)
}
