//! Filters: which events a client wants (client-server API, "Filtering").

use std::collections::HashSet;

use myelin_model::{Event, has_nul};
use ruma::{OwnedRoomId, OwnedUserId, RoomId, UserId};
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::{Value, value::RawValue};

use crate::pdu::content_of;

/// The nesting and size of filters are bounded by this, as they come in a URL or from the database.
const FILTER_SIZE_BYTES_MAX: usize = 65_536;

/// The reason why a filter is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidFilter {
    /// The text is no JSON.
    #[error("the filter is not JSON")]
    NotJson,
    /// A field has the wrong type, an ID is malformed, or it is too large.
    #[error("invalid filter: {0}")]
    Invalid(String),
}

/// Read a filter. Unknown fields are ignored. `objects` are JSON pointers to the objects in it.
pub fn parse_filter<F: DeserializeOwned>(json: &str, objects: &[&str]) -> Result<F, InvalidFilter> {
    if json.len() > FILTER_SIZE_BYTES_MAX {
        return Err(InvalidFilter::Invalid("too large".to_owned()));
    }
    let value: Value = serde_json::from_str(json).map_err(|_| InvalidFilter::NotJson)?;
    // No name in Matrix has the character, and the database takes no such text.
    if has_nul(json.as_bytes()) {
        return Err(InvalidFilter::Invalid("NUL characters".to_owned()));
    }
    // Lists would be read as the fields of an object in their order.
    for part in objects {
        if value.pointer(part).is_some_and(|value| !value.is_object()) {
            return Err(InvalidFilter::Invalid(format!("{part:?} is not an object")));
        }
    }
    serde_json::from_value(value).map_err(|error| InvalidFilter::Invalid(error.to_string()))
}

/// The format in which events are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventFormat {
    /// Events have the form in which clients know them.
    #[default]
    Client,
    /// Events have the form in which servers exchange them.
    Federation,
}

/// A filter for one kind of event.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct EventFilter {
    /// The number of events at most. `None` leaves it to the endpoint's default.
    #[serde(deserialize_with = "limit")]
    pub limit: Option<usize>,
    /// The senders that are wanted.
    pub senders: Option<HashSet<OwnedUserId>>,
    /// The senders that are not wanted.
    pub not_senders: HashSet<OwnedUserId>,
    /// The types that are wanted; `*` stands for anything.
    pub types: Option<Vec<String>>,
    /// The types that are not wanted; `*` stands for anything.
    pub not_types: Vec<String>,
    /// The rooms that are wanted.
    pub rooms: Option<HashSet<OwnedRoomId>>,
    /// The rooms that are not wanted.
    pub not_rooms: HashSet<OwnedRoomId>,
    /// Whether the content must have a `url`, or must not.
    pub contains_url: Option<bool>,
    /// Members come only when they are needed.
    pub lazy_load_members: bool,
    /// Members come again although the client was told of them.
    pub include_redundant_members: bool,
    /// Unread counts are wanted by thread.
    pub unread_thread_notifications: bool,
    /// The users whose events must relate to a wanted event.
    pub related_by_senders: Option<Vec<OwnedUserId>>,
    /// The types of relations, by one of which other events must relate to a wanted event.
    pub related_by_rel_types: Option<Vec<String>>,
    /// The types by which events are wanted that relate to others (MSC3874).
    #[serde(rename = "org.matrix.msc3874.rel_types")]
    pub rel_types: Option<Vec<String>>,
    /// The types by which events must not relate to others.
    #[serde(rename = "org.matrix.msc3874.not_rel_types")]
    pub not_rel_types: Vec<String>,
}

/// JSON knows no integers: `10.0` is ten.
fn limit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<usize>, D::Error> {
    let number = Option::<f64>::deserialize(deserializer)?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "casts from floats saturate"
    )]
    Ok(number.map(|number| number as usize))
}

impl EventFilter {
    /// Whether nothing at all can pass.
    pub fn blocks_all(&self) -> bool {
        self.types.as_ref().is_some_and(Vec::is_empty)
            || self.senders.as_ref().is_some_and(HashSet::is_empty)
            || self.rooms.as_ref().is_some_and(HashSet::is_empty)
            || self.not_types.iter().any(|glob| glob == "*")
            || self.limit == Some(0)
    }

    /// Whether everything passes, whatever the room.
    pub fn allows_all(&self) -> bool {
        self.types.is_none()
            && self.senders.is_none()
            && self.rooms.is_none()
            && self.not_types.is_empty()
            && self.not_senders.is_empty()
            && self.not_rooms.is_empty()
            && self.contains_url.is_none()
            && self.rel_types.is_none()
            && self.not_rel_types.is_empty()
    }

    /// Whether something of a room can pass.
    pub fn allows_room(&self, room_id: &RoomId) -> bool {
        !self.not_rooms.contains(room_id)
            && self.rooms.as_ref().is_none_or(|rooms| rooms.contains(room_id))
    }

    /// Whether this type passes.
    pub fn allows_type(&self, event_type: &str) -> bool {
        !self.not_types.iter().any(|glob| matches(glob, event_type))
            && self
                .types
                .as_ref()
                .is_none_or(|globs| globs.iter().any(|glob| matches(glob, event_type)))
    }

    /// Whether this sender passes.
    pub fn allows_sender(&self, sender: &UserId) -> bool {
        !self.not_senders.contains(sender)
            && self.senders.as_ref().is_none_or(|senders| senders.contains(sender))
    }

    /// Whether an event of a room passes.
    pub fn allows_event(&self, event: &Event) -> bool {
        self.allows_type(&event.event_type)
            && self.allows_sender(&event.sender)
            && self.allows_room(&event.room_id)
            && self.contains_url.is_none_or(|wanted| has_url(event) == wanted)
            && self.allows_relation(event)
    }

    /// Whether an event passes by how it relates to another.
    fn allows_relation(&self, event: &Event) -> bool {
        if self.rel_types.is_none() && self.not_rel_types.is_empty() {
            return true;
        }
        let rel_type = rel_type_of(event);
        let is_one_of = |types: &[String]| types.iter().any(|one| Some(one) == rel_type.as_ref());
        self.rel_types.as_deref().is_none_or(is_one_of) && !is_one_of(&self.not_rel_types)
    }
}

/// The type of the relation of an event to another.
fn rel_type_of(event: &Event) -> Option<String> {
    #[derive(Deserialize)]
    struct Content {
        #[serde(rename = "m.relates_to")]
        relates_to: Option<Relation>,
    }
    #[derive(Deserialize)]
    struct Relation {
        rel_type: Option<String>,
    }
    // Redaction leaves no relation.
    if event.redacted_by.is_some() {
        return None;
    }
    let content: Content = serde_json::from_str(content_of(&event.json)?).ok()?;
    content.relates_to?.rel_type
}

fn has_url(event: &Event) -> bool {
    #[derive(Deserialize)]
    struct Content<'a> {
        #[serde(borrow)]
        url: Option<&'a RawValue>,
    }
    // Nor does it leave a URL.
    if event.redacted_by.is_some() {
        return false;
    }
    let content = content_of(&event.json).unwrap_or("{}");
    serde_json::from_str::<Content<'_>>(content)
        .is_ok_and(|content| content.url.is_some_and(|url| url.get().starts_with('"')))
}

/// Whether a text has the form of a pattern, in which `*` stands for any characters.
fn matches(glob: &str, text: &str) -> bool {
    let mut parts = glob.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = rest.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (glob, text, expect) in [
            ("m.room.message", "m.room.message", true),
            ("m.room.message", "m.room.messages", false),
            ("m.room.*", "m.room.name", true),
            ("m.room.*", "m.roo", false),
            ("*", "anything", true),
            ("*.name", "m.room.name", true),
            ("m.*.name", "m.room.name", true),
            ("m.*.name", "m.name", false),
            ("a*a", "a", false),
            ("m.*.*e", "m.room.name", true),
        ] {
            assert_eq!(matches(glob, text), expect, "{glob} {text}");
        }
    }
}
