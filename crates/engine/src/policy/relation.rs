//! The relations that an event may have to another one (client-server API, "Forming relationships between events").

use myelin_events::{Pdu, client::content_for_clients};
use ruma::{EventId, OwnedEventId, OwnedUserId};
use serde::Deserialize;
use serde_json::Value;

use crate::{Draft, EventError};

/// The length of the key of an annotation, in characters (as Synapse has it).
const ANNOTATION_KEY_CHARS_MAX: usize = 500;

/// The reason why a relation is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RelationError {
    /// This server does not know the event that is related to.
    #[error("Can't send relation to unknown event")]
    UnknownEvent,
    /// The event that is related to is in another room.
    #[error("Relations must be in the same room")]
    OtherRoom,
    /// An annotation has no key, and so says nothing.
    #[error("Missing aggregation key")]
    NoKey,
    /// An annotation has a key longer than 500 characters.
    #[error("Aggregation key is too long")]
    KeyTooLong,
    /// The sender said the same of the event before.
    #[error("Can't send same reaction twice")]
    Duplicate,
    /// A thread begins at an event that itself relates to another.
    #[error("Cannot start threads from an event with a relation")]
    ThreadOnRelation,
}

/// An annotation of an event by a user. Each is made once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Annotation {
    sender: OwnedUserId,
    event_type: Box<str>,
    parent_id: OwnedEventId,
    key: String,
}

/// `m.relates_to` of an event, if it relates it to another.
struct Relation {
    rel_type: String,
    parent_id: String,
    key: Option<String>,
}

impl Relation {
    /// Read a content that is canonical JSON. Most have no relation, which their text tells.
    fn find(content: &str) -> Option<Self> {
        #[derive(Deserialize)]
        struct Content {
            #[serde(rename = "m.relates_to")]
            relates_to: Option<Value>,
        }
        if !content.contains("\"m.relates_to\":") {
            return None;
        }
        let relation = serde_json::from_str::<Content>(content).ok()?.relates_to?;
        let text = |key: &str| relation.get(key).and_then(Value::as_str).map(ToOwned::to_owned);
        Some(Self { rel_type: text("rel_type")?, parent_id: text("event_id")?, key: text("key") })
    }
}

impl Draft {
    /// Check what the event says of another: the annotation, if it is one. It takes at most one query if the other is
    /// in memory.
    pub(super) async fn check_relation(&self, pdu: &Pdu) -> Result<Option<Annotation>, EventError> {
        let Some(relation) = Relation::find(pdu.content()) else { return Ok(None) };
        // No event has the character in its ID, and the database takes no such text.
        let parent_id = match <&EventId>::try_from(&*relation.parent_id) {
            Ok(parent_id) if !parent_id.as_str().contains('\0') => parent_id,
            Ok(_) | Err(_) => return Err(RelationError::UnknownEvent.into()),
        };
        let db = self.engine.db();
        let parent = db.events().find_by_id(parent_id).await?;
        match &parent {
            Some(parent) if parent.room_nid != self.room_nid() => {
                return Err(RelationError::OtherRoom.into());
            }
            Some(_) => {}
            // Who saw others relate to it may do so, too.
            None => {
                if !db.relations().is_related_to(self.room_nid(), parent_id).await? {
                    return Err(RelationError::UnknownEvent.into());
                }
            }
        }
        match &*relation.rel_type {
            "m.annotation" => self.check_annotation(pdu, parent_id, relation.key).await.map(Some),
            "m.thread" => {
                let content = parent.as_ref().map(|event| content_for_clients(event, self.version));
                match content.and_then(|content| Relation::find(&content)) {
                    Some(_) => Err(RelationError::ThreadOnRelation.into()),
                    None => Ok(None),
                }
            }
            _ => Ok(None),
        }
    }

    async fn check_annotation(
        &self,
        pdu: &Pdu,
        parent_id: &EventId,
        key: Option<String>,
    ) -> Result<Annotation, EventError> {
        let key = key.ok_or(RelationError::NoKey)?;
        if key.chars().count() > ANNOTATION_KEY_CHARS_MAX {
            return Err(RelationError::KeyTooLong.into());
        }
        let annotation = Annotation {
            sender: pdu.sender.clone(),
            event_type: Box::from(&*pdu.event_type),
            parent_id: parent_id.to_owned(),
            key,
        };
        let relations = self.engine.db().relations();
        let (room_nid, Annotation { sender, event_type, key, .. }) = (self.room_nid(), &annotation);
        // What is on its way to the database is in the tip.
        if self.is_queued(&annotation)
            || relations.is_annotated(room_nid, parent_id, sender, event_type, key).await?
        {
            return Err(RelationError::Duplicate.into());
        }
        Ok(annotation)
    }

    fn is_queued(&self, annotation: &Annotation) -> bool {
        let queued = self.tip.as_ref().map_or(&[][..], |tip| &tip.annotations);
        queued.iter().chain(&self.annotations).any(|one| one.annotation == *annotation)
    }
}
