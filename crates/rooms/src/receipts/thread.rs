//! The thread that an event is in (client-server API, "Threading", "Server behavior").

use std::sync::Arc;

use myelin_events::pdu::content_of;
use myelin_model::Event;
use myelin_storage::StorageError;
use ruma::{EventId, OwnedEventId};
use serde::Deserialize;

use crate::Rooms;

/// The thread of everything that is in no other.
const MAIN: &str = "main";

/// The number of relations that are followed from an event to the one that stands in a thread.
const RELATIONS_MAX: usize = 3;

#[derive(Deserialize)]
struct Content {
    #[serde(rename = "m.relates_to")]
    relates_to: Option<RelatesTo>,
}

/// The relation of an event to another.
#[derive(Debug, Deserialize)]
struct RelatesTo {
    rel_type: Option<String>,
    event_id: Option<OwnedEventId>,
}

fn relation(event: &Event) -> Option<(String, OwnedEventId)> {
    // Redaction leaves no relation.
    if event.redacted_by.is_some() {
        return None;
    }
    let content: Content = serde_json::from_str(content_of(&event.json)?).ok()?;
    let relates_to = content.relates_to?;
    Some((relates_to.rel_type?, relates_to.event_id?))
}

/// Whether an event is in a thread, or is its root, or belongs to such an event by its relations.
pub(super) async fn contains(
    rooms: &Rooms,
    event: &Arc<Event>,
    thread_id: &str,
) -> Result<bool, StorageError> {
    let mut event = Arc::clone(event);
    for _ in 0..=RELATIONS_MAX {
        let is_root = event.event_id.as_str() == thread_id;
        match relation(&event) {
            Some((rel_type, root)) if rel_type == "m.thread" => {
                return Ok(root.as_str() == thread_id);
            }
            _ if is_root => return Ok(true),
            Some((_, parent)) => {
                let parent: &EventId = &parent;
                match rooms.db().events().find_by_id(parent).await? {
                    Some(parent) if parent.room_nid == event.room_nid => event = parent,
                    _ => return Ok(thread_id == MAIN),
                }
            }
            None => return Ok(thread_id == MAIN),
        }
    }
    Ok(thread_id == MAIN)
}
