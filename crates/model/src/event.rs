//! An event as the log holds it.

use std::sync::OnceLock;

use ruma::{OwnedDeviceId, OwnedEventId, OwnedRoomId, OwnedUserId};

use crate::{EventNid, Membership, RoomNid, StateKeyNid, StateNid, StreamPos};

/// A stored event: what queries and caches need of it, and its JSON.
///
/// Made from columns, without parsing the JSON. Immutable: a redaction makes a new one with [`Event::redacted_by`] set.
#[derive(Debug, Clone)]
pub struct Event {
    pub nid: EventNid,
    pub room_nid: RoomNid,
    pub room_id: OwnedRoomId,
    /// The event's place in the log. `None` for outliers, negative for backfilled events.
    pub pos: Option<StreamPos>,
    pub event_id: OwnedEventId,
    /// The event's type, `m.room.message` for example.
    pub event_type: Box<str>,
    /// The state key of a state event.
    pub state_key: Option<Box<str>>,
    /// The number of (type, state key) of a state event.
    pub state_key_nid: Option<StateKeyNid>,
    /// The user who sent it.
    pub sender: OwnedUserId,
    /// The time at which its server says that it was sent, in milliseconds since the Unix epoch, or before it.
    pub origin_server_ts: i64,
    /// Its depth in the event graph.
    pub depth: i64,
    /// The membership of a member event.
    pub membership: Option<Membership>,
    /// The room's state before the event. `None` for outliers.
    pub state_before: Option<StateNid>,
    /// The room's state after the event; equal to `state_before` unless the event is state. `None` for outliers.
    pub state_after: Option<StateNid>,
    /// The state event that this one took the place of.
    pub replaces: Option<EventNid>,
    /// The event that this redaction event redacts, where it is known and the redaction is valid.
    pub redacts: Option<EventNid>,
    /// The redaction that emptied this event.
    pub redacted_by: Option<EventNid>,
    /// The outcome of the checks on it.
    pub flags: EventFlags,
    /// The number of the room's events, up to and including this one, that notify under the default push rules.
    pub notify_ordinal: i64,
    /// The transaction that a local client sent it with, while it is remembered.
    pub transaction: Option<Transaction>,
    /// The PDU in canonical JSON, without `unsigned`.
    pub json: Box<str>,
    /// The event as clients see it, without `unsigned`; filled at first use.
    pub client_json: OnceLock<Box<str>>,
}

impl Event {
    /// Whether the event is state.
    pub fn is_state(&self) -> bool {
        self.state_key.is_some()
    }

    /// Whether (type, state key) is this.
    pub fn is_state_of(&self, event_type: &str, state_key: &str) -> bool {
        &*self.event_type == event_type && self.state_key.as_deref() == Some(state_key)
    }

    /// The time since it was sent, in milliseconds. 0 if that is yet to come.
    pub fn age_ms(&self, now_ms: u64) -> u64 {
        let now = i64::try_from(now_ms).unwrap_or(i64::MAX);
        u64::try_from(now.saturating_sub(self.origin_server_ts)).unwrap_or(0)
    }

    /// Whether clients may ever be shown the event in a timeline.
    pub fn is_visible(&self) -> bool {
        !self.flags.contains(EventFlags::REJECTED) && !self.flags.contains(EventFlags::SOFT_FAILED)
    }

    /// The memory that the event takes, in bytes, roughly. Caches weigh events by it.
    pub fn size_bytes(&self) -> usize {
        // The client's form is about as large as the PDU without hashes and signatures.
        size_of::<Self>() + self.json.len() * 2 + self.event_id.as_str().len() * 3
    }
}

/// The transaction that a local client sent an event with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// The device that sent it.
    pub device_id: OwnedDeviceId,
    /// The part of the path that says what is sent: the type of the event, or the event that is redacted.
    pub path: Box<str>,
    pub txn_id: Box<str>,
}

/// The outcome of the checks on an event, as bits in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EventFlags(pub i16);

impl EventFlags {
    /// No flag is set.
    pub const NONE: Self = Self(0);
    /// Known but not part of the room's history here: no state, no position.
    pub const OUTLIER: Self = Self(1);
    /// Failed the auth rules. Never shown, never built upon.
    pub const REJECTED: Self = Self(2);
    /// Passed by the state before it, failed by the current state. Not shown, not built upon.
    pub const SOFT_FAILED: Self = Self(4);
    /// Its `prev_events` were all the forward extremities, so that it alone is the forward extremity now, and the room's state after it is
    /// the event's. Nodes that follow the log can then carry their head on without reading.
    pub const LINEAR: Self = Self(8);
    /// The room's forward extremities or its state after the event were found by looking at more than the event and the head before it.
    /// Nodes that follow the log must read their head anew.
    pub const RESOLVED: Self = Self(16);
    /// The state before it had another history visibility, or another membership, than the room's current state, or the room's state
    /// became another by it than by taking it in. What users may see up to here follows from the state at each event alone.
    pub const BRANCHED: Self = Self(32);
    /// It is, or would be if it were not rejected, part of the history from before what the log has of the room.
    pub const PAST: Self = Self(64);
    /// The state before it is known in part alone, so that it is not decided whether it is allowed: it counts as rejected until then.
    pub const PARTIAL: Self = Self(128);

    /// Whether all bits of `other` are set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The bits of both.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The bits that `other` does not have.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}
