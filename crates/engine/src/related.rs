//! The events that relate to others, found for many of them at once (client-server API, "Aggregations of child events").

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use myelin_events::{
    aggregations::{Aggregations, Thread},
    sight::Sight,
};
use myelin_model::{Event, EventNid, StreamPos};
use myelin_storage::{Db, RelatedRow, StorageError};
use ruma::{OwnedUserId, UserId};

use crate::sights::look_up_in;

/// The relations to some events. The events that relate to them are still to be read: see [`Related::nids`].
#[derive(Debug, Default)]
pub struct Related {
    rows: HashMap<EventNid, Vec<RelatedRow>>,
}

impl Related {
    /// Find what relates to `parents`, each of which is given with the last position that the reader sees of its room, but for what
    /// the ignored sent. It takes at most two queries: threads have a newest event, which others relate to.
    pub async fn find(
        db: &Db,
        parents: &[(EventNid, StreamPos)],
        reader: &UserId,
        ignored: &HashSet<OwnedUserId>,
    ) -> Result<Self, StorageError> {
        Self::find_seen(db, parents, reader, ignored, None).await
    }

    /// As [`Related::find`], but only what the user may see in a room. It takes at most two queries, and what it takes to look up the
    /// states at events that are of a time when the room had branches, twice.
    pub async fn find_in(
        db: &Db,
        parents: &[(EventNid, StreamPos)],
        sight: &mut Sight,
    ) -> Result<Self, StorageError> {
        let (reader, ignored) = (sight.user_id().to_owned(), sight.ignored().clone());
        Self::find_seen(db, parents, &reader, &ignored, Some(sight)).await
    }

    async fn find_seen(
        db: &Db,
        parents: &[(EventNid, StreamPos)],
        reader: &UserId,
        ignored: &HashSet<OwnedUserId>,
        mut sight: Option<&mut Sight>,
    ) -> Result<Self, StorageError> {
        let mut related = Self::default();
        if parents.is_empty() {
            return Ok(related);
        }
        let ignored: Vec<String> = ignored.iter().map(ToString::to_string).collect();
        let rows = db.relations().list_related(parents, reader, &ignored).await?;
        let asked: HashMap<EventNid, StreamPos> = parents.iter().copied().collect();
        related.add(db, rows, sight.as_deref_mut()).await?;
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
            related.add(db, rows, sight).await?;
        }
        Ok(related)
    }

    async fn add(
        &mut self,
        db: &Db,
        rows: Vec<RelatedRow>,
        mut sight: Option<&mut Sight>,
    ) -> Result<(), StorageError> {
        if let Some(sight) = sight.as_deref_mut() {
            let children = rows.iter().flat_map(|row| &row.children);
            let off_line = children.filter(|(_, pos)| sight.is_off_line(*pos));
            let nids: Vec<EventNid> = off_line.map(|(nid, _)| *nid).collect();
            look_up_in(db, sight, &db.events().list(&nids).await?).await?;
        }
        for mut row in rows {
            if let Some(sight) = sight.as_deref() {
                row.children.retain(|(nid, pos)| sight.may_see_place(*nid, *pos));
            }
            if !is_reference(&row) {
                row.children.truncate(1);
            }
            if !row.children.is_empty() {
                self.rows.entry(row.parent_nid).or_default().push(row);
            }
        }
        Ok(())
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
