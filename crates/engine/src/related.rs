//! The events that relate to others, found for many of them at once (client-server API, "Aggregations of child events").

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use myelin_events::aggregations::{Aggregations, Thread};
use myelin_model::{Event, EventNid, StreamPos};
use myelin_storage::{Db, RelatedRow, StorageError};
use ruma::{OwnedUserId, UserId};

/// The relations to some events. The events that relate to them are still to be read: see [`Related::nids`].
#[derive(Debug, Default)]
pub struct Related {
    rows: HashMap<EventNid, Vec<RelatedRow>>,
}

impl Related {
    /// Find what relates to `parents`, each of which is given with the last position that the reader sees of its room, but for what
    /// the ignored sent and for what stands at positions that `may_see` says no to. It takes at most two queries: threads have a newest
    /// event, which others relate to.
    pub async fn find(
        db: &Db,
        parents: &[(EventNid, StreamPos)],
        reader: &UserId,
        ignored: &HashSet<OwnedUserId>,
        may_see: impl Fn(StreamPos) -> bool,
    ) -> Result<Self, StorageError> {
        let mut related = Self::default();
        if parents.is_empty() {
            return Ok(related);
        }
        let ignored: Vec<String> = ignored.iter().map(ToString::to_string).collect();
        let rows = db.relations().list_related(parents, reader, &ignored).await?;
        let asked: HashMap<EventNid, StreamPos> = parents.iter().copied().collect();
        related.add(rows, &may_see);
        let latest: Vec<(EventNid, StreamPos)> = related
            .rows
            .values()
            .flatten()
            .filter(|row| is_thread(row))
            .filter_map(|row| Some((row.children.first()?.0, *asked.get(&row.parent_nid)?)))
            .filter(|(nid, _)| !asked.contains_key(nid))
            .collect();
        if !latest.is_empty() {
            let rows = db.relations().list_related(&latest, reader, &ignored).await?;
            related.add(rows, &may_see);
        }
        Ok(related)
    }

    fn add(&mut self, rows: Vec<RelatedRow>, may_see: &impl Fn(StreamPos) -> bool) {
        for mut row in rows {
            row.children.retain(|(_, pos)| may_see(*pos));
            if !is_reference(&row) {
                row.children.truncate(1);
            }
            if !row.children.is_empty() {
                self.rows.entry(row.parent_nid).or_default().push(row);
            }
        }
    }

    /// Whether nothing relates to any of the events.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The events that [`Related::aggregations`] will ask for.
    pub fn nids(&self) -> impl Iterator<Item = EventNid> {
        self.rows.values().flatten().flat_map(|row| row.children.iter().map(|(nid, _)| *nid))
    }

    /// The aggregations of what relates to an event. `see` gives events as the reader sees them, `None` for what the reader does not.
    pub fn aggregations(
        &self,
        parent: EventNid,
        see: &dyn Fn(EventNid) -> Option<Arc<Event>>,
    ) -> Aggregations {
        let mut aggregations = Aggregations::default();
        for row in self.rows.get(&parent).into_iter().flatten() {
            let mut events = row.children.iter().filter_map(|(nid, _)| see(*nid));
            if is_reference(row) {
                aggregations.references = events.map(|event| event.event_id.clone()).collect();
                aggregations.references.reverse();
            } else if is_thread(row) {
                aggregations.thread = events.next().map(|latest| Thread {
                    related: Box::new(self.aggregations(latest.nid, see)),
                    latest,
                    count: row.count,
                    participated: row.participated,
                });
            } else {
                aggregations.replacement = events.next();
            }
        }
        aggregations
    }
}

fn is_thread(row: &RelatedRow) -> bool {
    &*row.rel_type == "m.thread"
}

fn is_reference(row: &RelatedRow) -> bool {
    &*row.rel_type == "m.reference"
}
