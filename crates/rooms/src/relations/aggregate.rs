//! The events that are bundled with an event because they relate to it (client-server API, "Aggregations of child
//! events").

use std::sync::Arc;

use myelin_events::{
    RoomVersion,
    canonical::write_string,
    client::{Format, Unsigned, write_event},
};
use myelin_model::{Event, EventNid};
use myelin_storage::StorageError;
use ruma::{EventId, OwnedEventId, OwnedUserId};

use crate::{
    Rooms,
    history::{Reader, RoomView, Shown},
};

/// The events that relate to an event, as far as they are bundled with it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Related {
    /// The newest edit of its sender's.
    edit: Option<Arc<Event>>,
    thread: Option<Thread>,
    references: Vec<OwnedEventId>,
}

#[derive(Debug, Clone)]
struct Thread {
    latest: Arc<Event>,
    count: i64,
    participated: bool,
}

impl Related {
    /// `m.relations`, as JSON. `None` if there is nothing.
    pub(crate) fn to_json(
        &self,
        version: RoomVersion,
        format: Format,
        reader: &Reader<'_>,
    ) -> Option<String> {
        let mut out = String::from("{");
        let key = |out: &mut String, name: &str| {
            if out.len() > 1 {
                out.push(',');
            }
            write_string(out, name);
            out.push(':');
        };
        let write = |out: &mut String, event: &Event| {
            let age = Some(reader.now_ms.saturating_sub(event.origin_server_ts));
            write_event(out, event, version, format, &Unsigned { age, ..Unsigned::default() });
        };
        if !self.references.is_empty() {
            key(&mut out, "m.reference");
            out.push_str("{\"chunk\":[");
            for (at, event_id) in self.references.iter().enumerate() {
                out.push_str(if at > 0 { ",{\"event_id\":" } else { "{\"event_id\":" });
                write_string(&mut out, event_id.as_str());
                out.push('}');
            }
            out.push_str("]}");
        }
        if let Some(edit) = &self.edit {
            key(&mut out, "m.replace");
            write(&mut out, edit);
        }
        if let Some(thread) = &self.thread {
            key(&mut out, "m.thread");
            out.push_str("{\"latest_event\":");
            write(&mut out, &thread.latest);
            out.push_str(&format!(
                ",\"count\":{},\"current_user_participated\":{}}}",
                thread.count, thread.participated
            ));
        }
        out.push('}');
        (out.len() > 2).then_some(out)
    }
}

impl Rooms {
    /// Bundle with events what relates to them. It takes at most two queries.
    pub(crate) async fn aggregate(
        &self,
        view: &RoomView,
        shown: &mut [Shown],
    ) -> Result<(), StorageError> {
        // What was redacted is not talked of any more.
        let parents: Vec<&EventId> = shown
            .iter()
            .filter(|shown| shown.event.redacted_by.is_none())
            .map(|shown| &*shown.event.event_id)
            .collect();
        if parents.is_empty() {
            return Ok(());
        }
        let ignored: Vec<OwnedUserId> = view.sight.ignored().iter().cloned().collect();
        let reader = view.sight.user_id();
        let mut found =
            self.db().relations().aggregate(view.head.room_nid, &parents, reader, &ignored).await?;
        if found.is_empty() {
            return Ok(());
        }
        let nids: Vec<EventNid> =
            found.values().flatten().flat_map(|kind| kind.children.iter().copied()).collect();
        let children = self.db().events().find_many(&nids).await?;
        for shown in shown {
            let Some(kinds) = found.remove(&shown.event.event_id) else { continue };
            for kind in kinds {
                let events = kind.children.iter().filter_map(|nid| children.get(nid));
                let events = events.filter(|event| view.sight.may_see(event));
                let shown_to =
                    |event: &Arc<Event>| view.sight.shown(Arc::clone(event), view.version);
                let mut events = events.map(shown_to);
                let related = &mut shown.related;
                match &*kind.rel_type {
                    "m.replace" => related.edit = events.next(),
                    "m.thread" => {
                        related.thread = events.next().map(|latest| Thread {
                            latest,
                            count: kind.count,
                            participated: kind.participated || shown.event.sender == reader,
                        });
                    }
                    _ => {
                        related.references = events.map(|event| event.event_id.clone()).collect();
                        related.references.reverse();
                    }
                }
            }
        }
        Ok(())
    }
}
