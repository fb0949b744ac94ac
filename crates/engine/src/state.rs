//! Setting state, with the same event left alone when nothing changes.

use myelin_events::canonical;
use myelin_model::Membership;
use ruma::OwnedEventId;

use crate::{Draft, EventError, Intent};

/// Whether state is set already.
#[derive(Debug)]
pub enum Unchanged {
    /// It is not set.
    No,
    /// It is set, by this event.
    Stored(OwnedEventId),
    /// It will be set, when what this node has queued is stored.
    Queued,
}

impl Draft {
    /// Whether the sender set the same state before, so that no event needs to be made.
    pub async fn find_unchanged(&mut self, intent: &Intent<'_>) -> Result<Unchanged, EventError> {
        let Some(state_key) = intent.state_key else { return Ok(Unchanged::No) };
        // Not even the same create event may be sent again.
        if intent.event_type == "m.room.create" {
            return Ok(Unchanged::No);
        }
        let Some(current) = self.find_state(intent.event_type, state_key).await? else {
            return Ok(Unchanged::No);
        };
        if *current.pdu.sender != *intent.sender {
            return Ok(Unchanged::No);
        }
        let strict = self.version().is_json_strict();
        let is_same = canonical::to_canonical(intent.content, strict)
            .is_ok_and(|content| content == current.pdu.content());
        if !is_same {
            return Ok(Unchanged::No);
        }
        // Who is not in the room any more is refused as for any event, and not told what stands there. Leaving twice is no event.
        let is_about_oneself = intent.event_type == "m.room.member";
        if !is_about_oneself && self.membership(intent.sender).await? != Some(Membership::Join) {
            return Ok(Unchanged::No);
        }
        let db = self.engine.db();
        let is_stored = match db.event_cache().find(current.nid) {
            Some(_) => true,
            // Not in memory: old, or not stored yet.
            None => db.events().find(current.nid).await?.is_some(),
        };
        Ok(match is_stored {
            true => Unchanged::Stored(current.pdu.event_id.clone()),
            false => Unchanged::Queued,
        })
    }
}
