//! Events with what `unsigned` says of them, ready to be written for a reader.

use std::{collections::HashMap, sync::Arc};

use myelin_events::{
    RoomVersion,
    aggregations::Aggregations,
    client::{Format, Unsigned, content_for_clients, event_json, write_event},
};
use myelin_model::{Event, EventNid, Membership};
use myelin_storage::StorageError;
use ruma::{DeviceId, UserId};

use super::RoomView;
use crate::Rooms;

/// The reader of events, at one time.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    pub user_id: &'a UserId,
    /// The device that reads. Its own transaction IDs are shown to it. `None`: a token without a device.
    pub device_id: Option<&'a DeviceId>,
    /// The time of reading, in milliseconds since the epoch. The age of events follows from it.
    pub now_ms: u64,
}

impl Reader<'_> {
    /// The part of `unsigned` that every event has.
    fn unsigned<'e>(&self, event: &'e Event) -> Unsigned<'e> {
        let transaction = event.transaction.as_ref().filter(|transaction| {
            event.sender == self.user_id && Some(&*transaction.device_id) == self.device_id
        });
        Unsigned {
            age: Some(event.age_ms(self.now_ms)),
            transaction_id: transaction.map(|transaction| &*transaction.txn_id),
            ..Unsigned::default()
        }
    }
}

/// An event and what it refers to.
#[derive(Debug, Clone)]
pub struct Shown {
    pub event: Arc<Event>,
    version: RoomVersion,
    /// The state event that it replaced.
    replaced: Option<Arc<Event>>,
    /// The reader may see what it replaced.
    shows_replaced: bool,
    /// The redaction that emptied it, where the reader is told of it.
    redaction: Option<Arc<Event>>,
    /// The reader's membership at the event.
    membership: Option<Membership>,
    /// The events that relate to it, as far as they are bundled with it.
    pub(crate) related: Aggregations,
}

impl Shown {
    /// Append the event's JSON.
    pub fn write(&self, out: &mut String, format: Format, reader: &Reader<'_>) {
        let redaction = self.redaction.as_ref().map(|redaction| {
            event_json(redaction, self.version, format, &reader.unsigned(redaction))
        });
        let seen = self.replaced.as_ref().filter(|_| self.shows_replaced);
        let prev_content = seen.map(|event| content_for_clients(event, self.version));
        let relations = self.related.to_json(&|out, event, relations| {
            let unsigned = Unsigned { relations, ..reader.unsigned(event) };
            write_event(out, event, self.version, format, &unsigned);
        });
        let unsigned = Unsigned {
            prev_content: prev_content.as_deref(),
            prev_sender: seen.map(|event| &*event.sender),
            replaces_state: self.replaced.as_ref().map(|event| &*event.event_id),
            redacted_because: redaction.as_deref(),
            membership: self.membership,
            relations: relations.as_deref(),
            ..reader.unsigned(&self.event)
        };
        write_event(out, &self.event, self.version, format, &unsigned);
    }

    /// The event's content, as JSON.
    pub fn content(&self) -> std::borrow::Cow<'_, str> {
        content_for_clients(&self.event, self.version)
    }

    /// The event's JSON.
    pub fn to_json(&self, format: Format, reader: &Reader<'_>) -> String {
        let mut out = String::new();
        self.write(&mut out, format, reader);
        out
    }

    /// Append a JSON array of events.
    pub fn write_all(out: &mut String, events: &[Self], format: Format, reader: &Reader<'_>) {
        out.push('[');
        for (at, event) in events.iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            event.write(out, format, reader);
        }
        out.push(']');
    }
}

impl Rooms {
    /// Get what events refer to, and other events with the same query: `others`. It takes at most one query, and what
    /// [`RoomView::see`] takes for what was replaced.
    pub(crate) async fn show_with(
        &self,
        view: &mut RoomView,
        events: Vec<Arc<Event>>,
        others: &[EventNid],
    ) -> Result<(Vec<Shown>, HashMap<EventNid, Arc<Event>>), StorageError> {
        let mut nids: Vec<EventNid> = events
            .iter()
            .flat_map(|event| event.replaces.into_iter().chain(event.redacted_by))
            .collect();
        nids.extend(others);
        nids.sort_unstable();
        nids.dedup();
        let mut found = self.db().events().find_many(&nids).await?;
        let referred = |event: &Arc<Event>| event.replaces.into_iter().chain(event.redacted_by);
        let referred = events.iter().flat_map(referred).filter_map(|nid| found.get(&nid).cloned());
        view.look_up(self.engine(), &referred.collect::<Vec<_>>()).await?;
        let view = &*view;
        let sight = &view.sight;
        for event in found.values_mut() {
            *event = sight.shown(Arc::clone(event), view.version);
        }
        let shown = events
            .into_iter()
            .map(|event| {
                let replaced = event.replaces.and_then(|nid| found.get(&nid).cloned());
                Shown {
                    version: view.version,
                    shows_replaced: replaced.as_ref().is_some_and(|event| sight.may_see(event)),
                    replaced,
                    redaction: redaction(view, &event, &found),
                    membership: event
                        .pos
                        .map(|_| sight.membership_at(&event).unwrap_or(Membership::Leave)),
                    event: sight.shown(event, view.version),
                    related: Aggregations::default(),
                }
            })
            .collect();
        Ok((shown, found))
    }

    /// State as it stands, without what it replaced. It takes at most one query, for the redactions of what was redacted.
    pub(crate) async fn show_state(
        &self,
        view: &RoomView,
        events: Vec<Arc<Event>>,
    ) -> Result<Vec<Shown>, StorageError> {
        let nids: Vec<EventNid> = events.iter().filter_map(|event| event.redacted_by).collect();
        let found = self.db().events().find_many(&nids).await?;
        let shown = events.into_iter().map(|event| Shown {
            version: view.version,
            replaced: None,
            shows_replaced: false,
            redaction: redaction(view, &event, &found),
            membership: None,
            event,
            related: Aggregations::default(),
        });
        Ok(shown.collect())
    }
}

/// The redaction of an event, as far as the reader is told of it: who is not in the room hears nothing of what came afterwards.
fn redaction(
    view: &RoomView,
    event: &Event,
    found: &HashMap<EventNid, Arc<Event>>,
) -> Option<Arc<Event>> {
    let redaction = event.redacted_by.and_then(|nid| found.get(&nid))?;
    (view.is_member() || view.sight.may_see(redaction)).then(|| Arc::clone(redaction))
}
