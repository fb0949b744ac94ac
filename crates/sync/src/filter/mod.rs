//! Filters: which part of what happened a client wants (client-server API, "Filtering").

mod event_filter;

use std::collections::HashSet;

use ruma::{OwnedRoomId, RoomId};
use serde::Deserialize;

pub use self::event_filter::{EventFilter, EventFormat};

/// The nesting and size of filters are bounded by this, as they come in a URL or from the database.
const FILTER_SIZE_BYTES_MAX: usize = 65_536;

/// A filter. What it does not name, everybody gets.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Filter {
    /// The fields of events that are wanted, as dotted paths. Empty: all.
    pub event_fields: Vec<String>,
    /// The format of events.
    pub event_format: EventFormat,
    /// Presence.
    pub presence: EventFilter,
    /// Global account data.
    pub account_data: EventFilter,
    /// Rooms.
    pub room: RoomFilter,
}

/// The part of a filter that is about rooms.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct RoomFilter {
    /// The rooms that are wanted.
    pub rooms: Option<HashSet<OwnedRoomId>>,
    /// The rooms that are not.
    pub not_rooms: HashSet<OwnedRoomId>,
    /// Whether rooms are wanted that the user left.
    pub include_leave: bool,
    /// The timeline.
    pub timeline: EventFilter,
    /// The state.
    pub state: EventFilter,
    /// Typing and receipts.
    pub ephemeral: EventFilter,
    /// Account data of rooms.
    pub account_data: EventFilter,
}

/// A text that is no filter.
#[derive(Debug, thiserror::Error)]
pub enum InvalidFilter {
    /// It is no JSON object.
    #[error("invalid filter JSON")]
    NotJson,
    /// A field has the wrong type, or an ID is malformed.
    #[error("invalid filter: {0}")]
    Malformed(String),
}

impl Filter {
    /// Read a filter. Unknown fields are ignored.
    pub fn parse(json: &str) -> Result<Self, InvalidFilter> {
        if json.len() > FILTER_SIZE_BYTES_MAX {
            return Err(InvalidFilter::Malformed("too large".to_owned()));
        }
        serde_json::from_str(json).map_err(|error| {
            if error.is_data() {
                InvalidFilter::Malformed(error.to_string())
            } else {
                InvalidFilter::NotJson
            }
        })
    }

    /// Whether a room is wanted at all.
    pub fn allows_room(&self, room_id: &RoomId) -> bool {
        !self.room.not_rooms.contains(room_id)
            && self.room.rooms.as_ref().is_none_or(|rooms| rooms.contains(room_id))
    }

    /// Whether members come only when they are needed.
    pub fn lazy_load_members(&self) -> bool {
        self.room.state.lazy_load_members
    }
}

#[cfg(test)]
mod tests {
    use ruma::room_id;

    use super::*;

    #[test]
    fn unknown_fields_are_ignored_and_wrong_ones_refused() {
        let filter = Filter::parse(
            r#"{"room":{"timeline":{"limit":5.0,"x":1},"rooms":["!a:h"],"y":{}},"z":[]}"#,
        )
        .unwrap();
        assert_eq!(filter.room.timeline.limit, Some(5));
        assert!(filter.allows_room(room_id!("!a:h")));
        assert!(!filter.allows_room(room_id!("!b:h")));
        for json in ["{", "", "nope"] {
            assert!(matches!(Filter::parse(json), Err(InvalidFilter::NotJson)), "{json}");
        }
        for json in [
            r#"{"room":[]}"#,
            r#"{"room":{"timeline":{"limit":"5"}}}"#,
            r#"{"room":{"rooms":["a"]}}"#,
            r#"{"room":{"timeline":{"senders":["x"]}}}"#,
            r#"{"event_format":"other"}"#,
        ] {
            assert!(matches!(Filter::parse(json), Err(InvalidFilter::Malformed(_))), "{json}");
        }
    }
}
