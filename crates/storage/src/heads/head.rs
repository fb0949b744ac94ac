//! The head of a room, which writers build upon and readers begin from.

use myelin_model::{Event, EventFlags, EventNid, RoomNid, StreamPos};
use ruma::{OwnedEventId, OwnedRoomId, RoomVersionId};
use serde::{Deserialize, de::IgnoredAny};

use crate::state::{SnapshotChain, StateMap};

/// A forward extremity: an event that no other event follows yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extremity {
    pub nid: EventNid,
    pub event_id: OwnedEventId,
}

/// A room as it stands after some append. It is cheap to clone.
#[derive(Debug, Clone)]
pub struct RoomHead {
    pub room_nid: RoomNid,
    pub room_id: OwnedRoomId,
    pub room_version: RoomVersionId,
    /// The newest event appended; `None` before the first. It names the head: a writer that built upon another newest event than the
    /// database has must reload. A number is of one event on one node, so that two nodes that build upon the same head never name
    /// their heads alike.
    pub newest: Option<EventNid>,
    /// The greatest depth of the extremities.
    pub depth: i64,
    pub extremities: Vec<Extremity>,
    /// The resolved state after all extremities.
    pub state: StateMap,
    /// The place of that state among the snapshots.
    pub chain: SnapshotChain,
    /// The [`Event::notify_ordinal`] of the newest event.
    pub notify_ordinal: i64,
    /// No event of the room stands after this position.
    pub last_pos: StreamPos,
    /// The position of the last event that is [`EventFlags::BRANCHED`]. After it, the state at an event is the room's state at the
    /// event's position, as far as it decides who sees the event. Zero: there never was one.
    pub branched_pos: StreamPos,
    /// Whether no event that this server has of the room, whatever became of it, keeps its history from members who join later. Whoever
    /// is in the room then sees all that stands in the log.
    pub is_open: bool,
}

impl RoomHead {
    /// The head before a room's first event.
    pub fn new(room_nid: RoomNid, room_id: OwnedRoomId, room_version: RoomVersionId) -> Self {
        Self {
            room_nid,
            room_id,
            room_version,
            newest: None,
            depth: 0,
            extremities: Vec::new(),
            state: StateMap::new(),
            chain: SnapshotChain::default(),
            notify_ordinal: 0,
            last_pos: StreamPos::ZERO,
            branched_pos: StreamPos::ZERO,
            is_open: true,
        }
    }

    /// Whether this server knows the room's state. It does not know that of a room which it is not in, and knows of by an invite alone.
    pub fn has_state(&self) -> bool {
        !self.state.is_empty()
    }

    /// Carry the head on by an event that the log brought. `false` if the event is not enough to know the new head, which must be
    /// read then.
    pub(super) fn carry_on(&mut self, event: &Event, pos: StreamPos) -> bool {
        if event.is_state_of("m.room.history_visibility", "") {
            // The database tells whether the room is open still.
            return false;
        }
        if event.flags.contains(EventFlags::LINEAR) {
            self.extremities.clear();
        } else if event.is_state() || event.flags.contains(EventFlags::RESOLVED) {
            // Only the node that appended it has resolved the state.
            return false;
        } else {
            // A message beside others leaves the state as it is.
            let followed = prev_events(&event.json);
            self.extremities.retain(|extremity| !followed.contains(&extremity.event_id.as_str()));
        }
        self.extremities.push(Extremity { nid: event.nid, event_id: event.event_id.clone() });
        self.newest = Some(event.nid);
        self.depth = self.depth.max(event.depth);
        self.notify_ordinal = event.notify_ordinal;
        self.last_pos = pos;
        if let Some(key) = event.state_key_nid {
            self.state.insert(key, event.nid);
            let Some(after) = event.state_after else { return false };
            // The event's own snapshot was written by whoever appended it; repeat the step to know the chain.
            self.chain.extend(after, &[(key, Some(event.nid))], &self.state);
        }
        true
    }
}

/// The IDs of the events before an event, from its JSON: room versions 1 and 2 pair them with hashes.
fn prev_events(json: &str) -> Vec<&str> {
    #[derive(Deserialize)]
    struct Json<'a> {
        #[serde(borrow)]
        prev_events: Vec<Prev<'a>>,
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Prev<'a> {
        Id(&'a str),
        Pair(&'a str, IgnoredAny),
    }
    let json = serde_json::from_str::<Json<'_>>(json);
    let id = |prev| match prev {
        Prev::Id(id) | Prev::Pair(id, _) => id,
    };
    json.map(|json| json.prev_events.into_iter().map(id).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::prev_events;

    #[test]
    fn the_events_before_are_read_in_all_formats() {
        let old = r#"{"prev_events":[["$a:h",{"sha256":"x"}],["$b:h",{}]],"type":"t"}"#;
        assert_eq!(prev_events(old), ["$a:h", "$b:h"]);
        assert_eq!(prev_events(r#"{"prev_events":["$a","$b"]}"#), ["$a", "$b"]);
        assert!(prev_events(r#"{"prev_events":[]}"#).is_empty());
    }
}
