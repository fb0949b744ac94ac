//! Filters: which part of what happened a client wants (client-server API, "Filtering").

use std::{collections::HashSet, sync::Arc};

use myelin_events::filter::{EventFilter, EventFormat, InvalidFilter, parse_filter};
use myelin_storage::StorageError;
use quick_cache::{Weighter, sync::Cache};
use ruma::{OwnedRoomId, OwnedUserId, RoomId, UserId};
use serde::Deserialize;

use crate::Sync;

/// The memory that a filter takes besides its names, in bytes.
const FILTER_SIZE_BYTES: usize = 1_024;

/// The memory that a filter takes for each byte of its JSON, in bytes.
const FILTER_GROWTH: usize = 8;

/// The objects in a filter.
const PARTS: [&str; 8] = [
    "",
    "/presence",
    "/account_data",
    "/room",
    "/room/timeline",
    "/room/state",
    "/room/ephemeral",
    "/room/account_data",
];

/// A filter. What it does not name, everybody gets.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Filter {
    /// The fields of events that are wanted, as dotted paths. Empty: all.
    pub event_fields: Vec<String>,
    pub event_format: EventFormat,
    pub presence: EventFilter,
    /// The account data that is not of a room.
    pub account_data: EventFilter,
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
    pub timeline: EventFilter,
    pub state: EventFilter,
    /// Typing notices and receipts.
    pub ephemeral: EventFilter,
    pub account_data: EventFilter,
}

/// The reason why there is no filter.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// It is malformed.
    #[error(transparent)]
    Invalid(#[from] InvalidFilter),
    /// The user stored no such filter.
    #[error("no such filter")]
    NotFound,
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Find the filter that a request names: JSON, or the number of one that the user stored before. Those that were found
/// are remembered, as they never change.
pub async fn find_filter(
    sync: &Sync,
    user_id: &UserId,
    filter: &str,
) -> Result<Arc<Filter>, FilterError> {
    if filter.starts_with('{') {
        return Ok(Arc::new(Filter::parse(filter)?));
    }
    let filter_id: i64 = filter.parse().map_err(|_| FilterError::NotFound)?;
    let key = (user_id.to_owned(), filter_id);
    if let Some(known) = sync.filters().get(&key) {
        return Ok(known.filter);
    }
    let json = Box::pin(sync.db().filters().find(user_id, filter_id)).await?;
    let json = json.ok_or(FilterError::NotFound)?;
    let filter = Arc::new(Filter::parse(&json)?);
    let known = KnownFilter { filter: Arc::clone(&filter), json_size_bytes: json.len() };
    sync.filters().insert(key, known);
    Ok(filter)
}

/// The filters in memory, by user and number.
pub(crate) type KnownFilters = Cache<(OwnedUserId, i64), KnownFilter, BySize>;

/// A filter in memory.
#[derive(Debug, Clone)]
pub(crate) struct KnownFilter {
    filter: Arc<Filter>,
    json_size_bytes: usize,
}

/// Weighs filters by the memory that they take.
#[derive(Debug, Clone)]
pub(crate) struct BySize;

impl Weighter<(OwnedUserId, i64), KnownFilter> for BySize {
    fn weight(&self, _: &(OwnedUserId, i64), known: &KnownFilter) -> u64 {
        // A name of one letter has four bytes in JSON, and 24 more than itself in memory.
        let size = FILTER_SIZE_BYTES + FILTER_GROWTH * known.json_size_bytes;
        u64::try_from(size).unwrap_or(u64::MAX)
    }
}

/// A cache of filters that takes at most this memory.
pub(crate) fn known_filters(size_bytes_max: u64) -> KnownFilters {
    let filters = usize::try_from(size_bytes_max).unwrap_or(usize::MAX) / FILTER_SIZE_BYTES;
    Cache::with_weighter(filters, size_bytes_max, BySize)
}

impl Filter {
    /// Read a filter. Unknown fields are ignored.
    pub fn parse(json: &str) -> Result<Self, InvalidFilter> {
        parse_filter(json, &PARTS)
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
            r#"{"room":{"timeline":{"related_by_rel_types":["\u0000"]}}}"#,
        ] {
            assert!(matches!(Filter::parse(json), Err(InvalidFilter::Invalid(_))), "{json}");
        }
    }
}
