//! The relations of other events to those of a timeline (client-server API, "Aggregations of child events").
//!
//! A client that gets every event of a room aggregates for itself. So only timelines with something missing before them
//! are told what relates to their events.

use std::collections::{HashMap, HashSet};

use myelin_engine::Related;
use myelin_events::client::{Unsigned, write_event};
use myelin_model::{Event, EventNid, RoomNid, StreamPos};
use myelin_storage::StorageError;

use super::{EventWriter, Reader, RoomRead, Wants, timeline::Window};

/// Find what relates to the events of timelines with a gap. It takes at most two queries, and none without such
/// timelines.
pub(super) async fn load(
    reader: &Reader<'_>,
    wants: &Wants<'_>,
    rooms: &[&RoomRead],
    windows: &HashMap<RoomNid, Window>,
) -> Result<Related, StorageError> {
    if !wants.relations {
        return Ok(Related::default());
    }
    let mut parents: Vec<(EventNid, StreamPos)> = Vec::new();
    for room in rooms {
        let Some(window) = windows.get(&room.room_nid) else { continue };
        if room.newly_joined || window.is_longer_than(room.timeline_limit) {
            parents.extend(window.messages().map(|nid| (nid, room.end)));
        }
    }
    // What of it is seen shows when the timelines are there.
    let (user_id, ignored) = (reader.user_id, &reader.personal.ignored);
    Related::find(reader.sync.db(), &parents, user_id, ignored).await
}

/// The events that the filter's `related_by_*` lets pass; `None` if it lets all pass. It takes at most one query.
pub(super) async fn passing(
    reader: &Reader<'_>,
    wants: &Wants<'_>,
    windows: &HashMap<RoomNid, Window>,
) -> Result<Option<HashSet<EventNid>>, StorageError> {
    let filter = wants.timeline;
    if filter.related_by_rel_types.is_none() && filter.related_by_senders.is_none() {
        return Ok(None);
    }
    let nids: Vec<EventNid> = windows.values().flat_map(Window::messages).collect();
    let (types, senders) = (&filter.related_by_rel_types, &filter.related_by_senders);
    let db = reader.sync.db();
    Ok(Some(db.relations().find_related_by(&nids, types.as_deref(), senders.as_deref()).await?))
}

impl EventWriter<'_> {
    /// `m.relations` of an event, as JSON. `None` if there is nothing.
    pub(super) fn relations(&self, event: &Event) -> Option<String> {
        let seen = self.seen?;
        let see = |nid: EventNid| {
            let event = self.events.get(&nid).filter(|_| seen.contains(&nid))?;
            Some(self.reader.older(event, self.version))
        };
        let related = self.related.aggregations(event.nid, &see);
        related.to_json(&|out, event, relations| {
            let unsigned = Unsigned { relations, ..self.unsigned(event) };
            write_event(out, event, self.version, self.form.format, &unsigned);
        })
    }
}
