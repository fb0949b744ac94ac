//! The filter of `/messages` and `/context` (client-server API, "Filtering", `RoomEventFilter`).

use myelin_events::filter::{EventFilter, EventFormat, InvalidFilter, parse_filter};
use myelin_model::Event;
use myelin_storage::PageFilter;
use serde::Deserialize;

/// The events of a room that a client wants, and their form. Unknown keys are passed over.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct HistoryFilter {
    #[serde(flatten)]
    pub events: EventFilter,
    #[serde(default)]
    event_format: EventFormat,
}

impl HistoryFilter {
    /// Read a filter.
    pub fn parse(json: &str) -> Result<Self, InvalidFilter> {
        parse_filter(json, &[""])
    }

    /// Whether events are wanted as servers exchange them.
    pub fn is_federation_format(&self) -> bool {
        self.event_format == EventFormat::Federation
    }

    /// The filter as the database takes it.
    pub(crate) fn to_page_filter(&self) -> PageFilter {
        fn texts<T: ToString>(ids: impl IntoIterator<Item = T>) -> Vec<String> {
            ids.into_iter().map(|id| id.to_string()).collect()
        }
        let like = |types: &[String]| types.iter().map(|kind| PageFilter::like(kind)).collect();
        let events = &self.events;
        PageFilter {
            types: events.types.as_deref().map(like),
            not_types: like(&events.not_types),
            senders: events.senders.as_ref().map(texts),
            not_senders: texts(&events.not_senders),
            contains_url: events.contains_url,
            related_by_senders: events.related_by_senders.as_ref().map(texts),
            related_by_rel_types: events.related_by_rel_types.clone(),
            rel_types: events.rel_types.clone(),
            not_rel_types: events.not_rel_types.clone(),
        }
    }

    /// Whether an event of the state is wanted.
    pub fn wants_state(&self, event: &Event) -> bool {
        // State relates to nothing, and nothing to it.
        let events = &self.events;
        events.related_by_senders.is_none()
            && events.related_by_rel_types.is_none()
            && events.allows_event(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_keys_are_passed_over_and_wrong_types_refused() {
        let filter = HistoryFilter::parse(r#"{"lazy_load_members":true,"new":1,"limit":5.0}"#);
        let filter = filter.unwrap();
        assert!(filter.events.lazy_load_members && !filter.is_federation_format());
        assert_eq!(filter.events.limit, Some(5));
        assert!(
            HistoryFilter::parse(r#"{"event_format":"federation"}"#)
                .unwrap()
                .is_federation_format()
        );
        assert_eq!(HistoryFilter::parse("{").unwrap_err(), InvalidFilter::NotJson);
        for json in ["[]", r#"{"types":1}"#, r#"{"types":["a\u0000"]}"#, r#"{"event_format":"x"}"#]
        {
            let error = HistoryFilter::parse(json).unwrap_err();
            assert!(matches!(error, InvalidFilter::Invalid(_)), "{json}");
        }
    }
}
