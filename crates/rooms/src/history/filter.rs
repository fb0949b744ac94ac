//! The filter of `/messages` and `/context` (client-server API, "Filtering", `RoomEventFilter`).

use myelin_model::Event;
use myelin_storage::PageFilter;
use ruma::RoomId;
use serde::Deserialize;

/// The number of entries that each list of a filter may have.
const LIST_ENTRIES_MAX: usize = 1_000;

/// The reason why a filter is refused.
#[derive(Debug, thiserror::Error)]
pub enum InvalidFilter {
    #[error("the filter is not JSON")]
    NotJson,
    /// The text is JSON, but not of a filter's form; the text says where.
    #[error("invalid filter: {0}")]
    Invalid(String),
}

/// The events of a room that a client wants. Unknown keys are passed over.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct EventFilter {
    /// The number of events at most. `None` leaves it to the request.
    pub limit: Option<u64>,
    types: Option<Vec<String>>,
    not_types: Vec<String>,
    senders: Option<Vec<String>>,
    not_senders: Vec<String>,
    rooms: Option<Vec<String>>,
    not_rooms: Vec<String>,
    contains_url: Option<bool>,
    /// Whether member events of those who sent the events shown are wanted, and not of all members.
    pub lazy_load_members: bool,
    event_format: Option<String>,
    related_by_senders: Option<Vec<String>>,
    related_by_rel_types: Option<Vec<String>>,
    /// The relations by which an event itself must relate to another (MSC3874).
    #[serde(rename = "org.matrix.msc3874.rel_types")]
    rel_types: Option<Vec<String>>,
    #[serde(rename = "org.matrix.msc3874.not_rel_types")]
    not_rel_types: Vec<String>,
}

impl EventFilter {
    /// Read a filter.
    pub fn parse(json: &str) -> Result<Self, InvalidFilter> {
        let filter: Self = serde_json::from_str(json).map_err(|error| match error.classify() {
            serde_json::error::Category::Data => InvalidFilter::Invalid(error.to_string()),
            _ => InvalidFilter::NotJson,
        })?;
        let lists =
            [&filter.not_types, &filter.not_senders, &filter.not_rooms, &filter.not_rel_types];
        let optional = [
            &filter.types,
            &filter.senders,
            &filter.rooms,
            &filter.related_by_senders,
            &filter.related_by_rel_types,
            &filter.rel_types,
        ];
        for list in lists.into_iter().chain(optional.into_iter().flatten()) {
            if list.len() > LIST_ENTRIES_MAX {
                return Err(InvalidFilter::Invalid("too many entries".to_owned()));
            }
        }
        Ok(filter)
    }

    /// Whether events are wanted as servers exchange them.
    pub fn is_federation_format(&self) -> bool {
        self.event_format.as_deref() == Some("federation")
    }

    /// Whether events of this room are wanted at all.
    pub fn wants_room(&self, room_id: &RoomId) -> bool {
        self.rooms.as_ref().is_none_or(|rooms| rooms.iter().any(|room| room == room_id.as_str()))
            && !self.not_rooms.iter().any(|room| room == room_id.as_str())
    }

    /// The filter as the database takes it.
    pub(crate) fn to_page_filter(&self) -> PageFilter {
        let like = |types: &[String]| types.iter().map(|kind| PageFilter::like(kind)).collect();
        PageFilter {
            types: self.types.as_deref().map(like),
            not_types: like(&self.not_types),
            senders: self.senders.clone(),
            not_senders: self.not_senders.clone(),
            contains_url: self.contains_url,
            related_by_senders: self.related_by_senders.clone(),
            related_by_rel_types: self.related_by_rel_types.clone(),
            rel_types: self.rel_types.clone(),
            not_rel_types: self.not_rel_types.clone(),
        }
    }

    /// Whether an event of the state is wanted.
    pub fn wants_state(&self, event: &Event) -> bool {
        // State relates to nothing, and nothing to it.
        let relations = [&self.related_by_senders, &self.related_by_rel_types, &self.rel_types];
        if relations.iter().any(|wanted| wanted.is_some()) {
            return false;
        }
        let matches = |pattern: &String| matches_type(pattern, &event.event_type);
        let is_sender = |sender: &String| sender == event.sender.as_str();
        self.types.as_ref().is_none_or(|types| types.iter().any(matches))
            && !self.not_types.iter().any(matches)
            && self.senders.as_ref().is_none_or(|senders| senders.iter().any(is_sender))
            && !self.not_senders.iter().any(is_sender)
            && self.contains_url.is_none_or(|wanted| contains_url(event) == wanted)
    }
}

fn contains_url(event: &Event) -> bool {
    #[derive(Deserialize)]
    struct Content<'a> {
        #[serde(borrow)]
        url: Option<&'a serde_json::value::RawValue>,
    }
    // Redaction leaves no URL.
    if event.redacted_by.is_some() {
        return false;
    }
    let content = myelin_events::pdu::content_of(&event.json).unwrap_or("{}");
    serde_json::from_str::<Content<'_>>(content)
        .is_ok_and(|content| content.url.is_some_and(|url| url.get().starts_with('"')))
}

/// Whether a type is what a pattern says; `*` stands for anything.
fn matches_type(pattern: &str, event_type: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = event_type.strip_prefix(parts.next().unwrap_or_default()) else {
        return false;
    };
    let mut last = None;
    for part in parts {
        if let Some(part) = last.replace(part) {
            let part: &str = part;
            match rest.find(part) {
                Some(at) => rest = rest.get(at + part.len()..).unwrap_or_default(),
                None => return false,
            }
        }
    }
    match last {
        Some(last) => rest.ends_with(last),
        None => rest.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_match_patterns() {
        for (pattern, event_type, expect) in [
            ("m.room.message", "m.room.message", true),
            ("m.room.message", "m.room.messages", false),
            ("m.room.*", "m.room.name", true),
            ("m.*.name", "m.room.name", true),
            ("m.*.name", "m.room.topic", false),
            ("*", "anything", true),
            ("*name", "m.room.name", true),
            ("a*b*c", "a1b2c", true),
            ("a*b*c", "a1c", false),
            ("", "", true),
            ("", "x", false),
        ] {
            assert_eq!(matches_type(pattern, event_type), expect, "{pattern} {event_type}");
        }
    }

    #[test]
    fn unknown_keys_are_passed_over_and_wrong_types_refused() {
        assert!(
            EventFilter::parse(r#"{"lazy_load_members":true,"new":1}"#).unwrap().lazy_load_members
        );
        assert!(matches!(EventFilter::parse("{"), Err(InvalidFilter::NotJson)));
        assert!(matches!(EventFilter::parse(r#"{"types":1}"#), Err(InvalidFilter::Invalid(_))));
    }
}
