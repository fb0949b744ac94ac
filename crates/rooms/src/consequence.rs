//! The work that has to follow when an event is stored, in this room or in others. It is written down before the event is appended: a node that
//! dies in between leaves it to another.

use std::sync::Arc;

use myelin_model::Event;
use myelin_storage::{StorageError, UnfinishedWork, WorkKind};
use ruma::{EventId, OwnedRoomId, RoomId};
use serde_json::Value;

use crate::{Rooms, set_state::NewState, unfinished};

/// Work that has to follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Consequence {
    kind: WorkKind,
    room_id: OwnedRoomId,
}

impl Consequence {
    /// The work that follows from a state event.
    pub(crate) fn of_state(new: &NewState<'_>) -> Option<Self> {
        if !new.state_key.is_empty() {
            return None;
        }
        let text_at = |key: &str| {
            let content: Value = serde_json::from_str(new.content).ok()?;
            Some(content.get(key)?.as_str()?.to_owned())
        };
        match new.event_type {
            // Whatever else it says, guests may not be in the room any more.
            "m.room.guest_access" if text_at("guest_access").as_deref() != Some("can_join") => {
                Some(Self { kind: WorkKind::RemoveGuests, room_id: new.room_id.to_owned() })
            }
            // A room that is upgraded by hand, with a successor that was made before.
            "m.room.tombstone" => {
                let room_id = OwnedRoomId::try_from(text_at("replacement_room")?).ok()?;
                Some(Self { kind: WorkKind::CarryOver, room_id })
            }
            _ => None,
        }
    }

    /// The work that follows from the redaction of an event: a room closes to guests if what opened it is redacted.
    pub(crate) async fn of_redaction(
        rooms: &Rooms,
        room_id: &RoomId,
        event_id: &EventId,
    ) -> Result<Option<Self>, StorageError> {
        let event: Option<Arc<Event>> = rooms.db().events().find_by_id(event_id).await?;
        let closes = event.is_some_and(|event| {
            &*event.event_type == "m.room.guest_access" && event.state_key.as_deref() == Some("")
        });
        let kind = WorkKind::RemoveGuests;
        Ok(closes.then(|| Self { kind, room_id: room_id.to_owned() }))
    }

    /// Write it down.
    pub(crate) async fn begin(&self, rooms: &Rooms) -> Result<UnfinishedWork, StorageError> {
        unfinished::begin(rooms, self.kind, self.room_id.as_str()).await
    }
}

#[cfg(test)]
mod tests {
    use ruma::room_id;

    use super::*;

    #[test]
    fn few_events_have_consequences() {
        for (event_type, state_key, content, expect) in [
            ("m.room.guest_access", "", r#"{"guest_access":"can_join"}"#, None),
            ("m.room.guest_access", "", r#"{"guest_access":"forbidden"}"#, Some("!r:h")),
            ("m.room.guest_access", "", "{}", Some("!r:h")),
            ("m.room.guest_access", "x", "{}", None),
            ("m.room.tombstone", "", r#"{"replacement_room":"!new:h"}"#, Some("!new:h")),
            ("m.room.tombstone", "", r#"{"replacement_room":1}"#, None),
            ("m.room.topic", "", "{}", None),
        ] {
            let room_id = room_id!("!r:h");
            let new = NewState { room_id, event_type, state_key, content, origin_server_ts: None };
            let found = Consequence::of_state(&new);
            let found = found.as_ref().map(|consequence| consequence.room_id.as_str());
            assert_eq!(found, expect, "{event_type} {content}");
        }
    }
}
