//! The relations of other events to those of a timeline (client-server API, "Aggregations of child events").
//!
//! A client that gets every event of a room aggregates for itself. So only timelines with something missing before them
//! are told what relates to their events.

use std::collections::{HashMap, HashSet};

use myelin_events::{
    canonical::write_string,
    client::{Format, Unsigned, write_event},
};
use myelin_model::{Event, EventNid, RoomNid};
use myelin_storage::{RelatedRow, StorageError};
use ruma::OwnedUserId;

use super::{EventWriter, Reader, RoomRead, Wants, timeline::Window};

/// The relations to events, by the event that they lead to.
pub(crate) type Related = HashMap<EventNid, Vec<RelatedRow>>;

/// Find what relates to the events of timelines with a gap. It takes at most one query, and none without such
/// timelines.
pub(super) async fn load(
    reader: &Reader<'_>,
    wants: &Wants<'_>,
    rooms: &[&RoomRead],
    windows: &HashMap<RoomNid, Window>,
) -> Result<Related, StorageError> {
    let mut parents: Vec<EventNid> = Vec::new();
    for room in rooms.iter().filter(|room| wants.relations && room.is_joined()) {
        let Some(window) = windows.get(&room.room_nid) else { continue };
        if room.newly_joined || window.is_longer_than(room.timeline_limit) {
            parents.extend(window.messages());
        }
    }
    let mut related = Related::new();
    if parents.is_empty() {
        return Ok(related);
    }
    let ignored: Vec<OwnedUserId> = reader.personal.ignored.iter().cloned().collect();
    let db = reader.sync.db();
    for row in db.relations().list_related(&parents, reader.user_id, &ignored).await? {
        related.entry(row.parent_nid).or_default().push(row);
    }
    Ok(related)
}

/// Collect the events to be loaded.
pub(super) fn want(related: &Related, wanted: &mut HashSet<EventNid>) {
    for row in related.values().flatten() {
        let count = if &*row.rel_type == "m.reference" { row.children.len() } else { 1 };
        wanted.extend(row.children.iter().take(count));
    }
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
        let rows = self.related.get(&event.nid).filter(|_| event.redacted_by.is_none())?;
        let mut out = String::from("{");
        for row in rows {
            let start = out.len();
            if start > 1 {
                out.push(',');
            }
            write_string(&mut out, &row.rel_type);
            out.push(':');
            if !self.write_relation(event, row, &mut out) {
                out.truncate(start);
            }
        }
        out.push('}');
        (out.len() > 2).then_some(out)
    }

    /// Write what relates to an event in one way. `false` if there is nothing to be told of it.
    fn write_relation(&self, event: &Event, row: &RelatedRow, out: &mut String) -> bool {
        let newest = row.children.first().and_then(|nid| self.events.get(nid));
        let newest = newest.filter(|event| event.redacted_by.is_none());
        match (&*row.rel_type, newest) {
            ("m.reference", _) => self.write_references(row, out),
            ("m.thread", Some(latest)) => {
                out.push_str("{\"latest_event\":");
                self.write_child(latest, out);
                let participated = row.participated || event.sender == *self.reader.user_id;
                out.push_str(&format!(
                    ",\"count\":{},\"current_user_participated\":{participated}}}",
                    row.count
                ));
            }
            ("m.replace", Some(edit)) => self.write_child(edit, out),
            _ => return false,
        }
        true
    }

    fn write_child(&self, event: &Event, out: &mut String) {
        let age = Some(self.reader.now_ms.saturating_sub(event.origin_server_ts));
        let event = self.reader.older(event, self.version);
        let unsigned = Unsigned { age, ..Unsigned::default() };
        write_event(out, &event, self.version, Format::Sync, &unsigned);
    }

    fn write_references(&self, row: &RelatedRow, out: &mut String) {
        out.push_str("{\"chunk\":[");
        let events = row.children.iter().rev().filter_map(|nid| self.events.get(nid));
        for (at, event) in events.enumerate() {
            out.push_str(if at > 0 { ",{\"event_id\":" } else { "{\"event_id\":" });
            write_string(out, event.event_id.as_str());
            out.push('}');
        }
        out.push_str("]}");
    }
}
