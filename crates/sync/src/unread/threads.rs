//! The thread that an event is counted in (client-server API, "Threading").

use std::collections::HashSet;

use myelin_events::pdu::content_of;
use myelin_model::{Event, EventNid};
use myelin_storage::StorageError;
use serde::Deserialize;

use super::{UnreadCounts, verdict::Judge};
use crate::reader::Reader;

/// The way in which an event belongs to a thread.
#[derive(Debug, Clone)]
pub(super) enum Belongs {
    /// It is in the main timeline.
    Main,
    /// It is in the thread with this root.
    Thread(Box<str>),
    /// It is where the event with this ID is.
    With(Box<str>),
}

fn read(event: &Event) -> Belongs {
    #[derive(Deserialize)]
    struct Content {
        #[serde(rename = "m.relates_to")]
        relates_to: Relation,
    }
    #[derive(Deserialize)]
    struct Relation {
        rel_type: Box<str>,
        event_id: Box<str>,
    }
    let content = content_of(&event.json).filter(|content| content.contains("rel_type"));
    let content = content.and_then(|content| serde_json::from_str::<Content>(content).ok());
    match content.map(|content| content.relates_to) {
        None => Belongs::Main,
        Some(relation) if &*relation.rel_type == "m.thread" => Belongs::Thread(relation.event_id),
        Some(relation) => Belongs::With(relation.event_id),
    }
}

impl UnreadCounts {
    /// The way in which an event belongs to a thread. Its content is read once for all users.
    fn belongs(&self, event: &Event) -> Belongs {
        if let Some(belongs) = self.threads.get(&event.nid) {
            return belongs;
        }
        let belongs = read(event);
        self.threads.insert(event.nid, belongs.clone());
        belongs
    }

    /// The thread that an event belongs to, by its root. `None`: the main timeline. For events that relate to others [`resolve`]
    /// must have been asked.
    pub(super) fn thread_of(&self, event: &Event) -> Option<Box<str>> {
        match self.belongs(event) {
            Belongs::Main | Belongs::With(_) => None,
            Belongs::Thread(root) => Some(root),
        }
    }

    /// The thread that the sender of an event has read: a message in a thread reads the thread, one in the main timeline everything, as a
    /// receipt for no thread does; it is empty then. `None`: nothing. Other events do not say that one looked at the messages: a new
    /// name is told to all rooms, and a reaction is about one of them.
    pub(super) fn read_by(&self, event: &Event) -> Option<Box<str>> {
        if event.is_state() || event.redacts.is_some() {
            return None;
        }
        match self.belongs(event) {
            Belongs::Main => Some("".into()),
            Belongs::Thread(root) => Some(root),
            Belongs::With(_) => None,
        }
    }
}

/// Find the threads of events that notify and belong to a thread by another event, as edits do. It takes at most one
/// query, and none for events that were asked for before.
pub(super) async fn resolve(
    reader: &Reader<'_>,
    events: &[(&Event, &Judge<'_>)],
) -> Result<(), StorageError> {
    let counts = reader.sync.unread();
    let mut unknown: Vec<(EventNid, Box<str>)> = Vec::new();
    for (event, judge) in events {
        if let Belongs::With(parent) = counts.belongs(event)
            && judge.judge_seen(event).notify
        {
            unknown.push((event.nid, parent));
        }
    }
    if unknown.is_empty() {
        return Ok(());
    }
    let parents: HashSet<String> = unknown.iter().map(|(_, parent)| parent.to_string()).collect();
    let parents: Vec<String> = parents.into_iter().collect();
    let roots = reader.sync.db().history().list_thread_roots(&parents).await?;
    for (nid, parent) in unknown {
        let root = roots.get(&*parent).cloned();
        counts.threads.insert(nid, root.map_or(Belongs::Main, Belongs::Thread));
    }
    Ok(())
}
