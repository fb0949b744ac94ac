//! The changes that the log tells of.

use std::sync::Arc;

use myelin_model::{Event, EventNid, RoomNid, StateKeyNid, StreamPos};
use ruma::{OwnedDeviceId, OwnedEventId, OwnedUserId};
use serde_json::value::RawValue;

/// A change and its place in the log.
#[derive(Debug, Clone)]
pub struct LogEntry {
    /// The place of the change in the log.
    pub pos: StreamPos,
    pub change: Change,
}

/// A change that a client, another server or another node must hear of.
///
/// A new kind is added by docs/recipes/add-a-log-entry.md. Whoever keeps something in memory matches all kinds by name,
/// so that the compiler asks there what a new one changes.
#[derive(Debug, Clone)]
pub enum Change {
    /// A room event was appended.
    Event(Arc<Event>),
    /// State resolution changed a room's current state beyond what the events before this entry say themselves.
    StateReset {
        room_nid: RoomNid,
        /// The part of the state that changed.
        state_key_nid: StateKeyNid,
        /// The event that is current now. `None`: the state has none.
        event_nid: Option<EventNid>,
    },
    /// A user has read up to an event.
    Receipt {
        room_nid: RoomNid,
        /// The user who has read.
        user_id: OwnedUserId,
        /// The kind of receipt: `m.read` or `m.read.private`.
        receipt_type: Box<str>,
        /// The thread: empty for the unthreaded receipt, `main`, or a thread root's event ID.
        thread_id: Box<str>,
        /// The event up to which the user has read.
        event_id: OwnedEventId,
        /// The place of that event in the log.
        event_pos: StreamPos,
        /// The time of reading, in milliseconds since the epoch.
        ts: u64,
    },
    /// An account data entry was set. Deleted entries have `{}`.
    AccountData {
        /// The user who owns the entry.
        user_id: OwnedUserId,
        /// The room, or `None` for global account data.
        room_nid: Option<RoomNid>,
        data_type: Box<str>,
        content: Arc<RawValue>,
    },
    /// The user's access tokens or devices changed: what is cached of them is void.
    Sessions { user_id: OwnedUserId },
    /// The account itself changed (admin, locked, suspended, deactivated, erased): what is cached of it is void.
    Account { user_id: OwnedUserId },
    /// The user's profile changed.
    Profile { user_id: OwnedUserId },
    /// The keys or names of a user's devices changed.
    DeviceList { user_id: OwnedUserId },
    /// Messages came for devices of a user, one for each. They stand in `to_device`, at the position of this entry.
    ToDevice { user_id: OwnedUserId, device_ids: Vec<OwnedDeviceId> },
    /// The number of keys that others may claim of a user's devices changed.
    KeyCounts { user_id: OwnedUserId },
    /// A user signed keys of users, or has another key to sign with. Nobody else sees these signatures.
    Signatures {
        /// The user who signed.
        user_id: OwnedUserId,
        /// The users whose keys look different to that user now.
        signed: Arc<[OwnedUserId]>,
    },
    /// Events of a room are stored in another form than before, and no event of the log says so: history from before the log came in.
    /// They are to be read anew.
    Rewritten { room_nid: RoomNid, event_nids: Arc<[EventNid]> },
    /// The user forgot a room.
    Forgotten { user_id: OwnedUserId, room_nid: RoomNid },
    /// A change that this version of the server does not know, or cannot read: a newer one wrote it. What is kept in
    /// memory of the room and the user may be outdated by it; if it names neither, anything may be.
    Other {
        /// The room that it concerns.
        room_nid: Option<RoomNid>,
        /// The user whom it concerns.
        user_id: Option<OwnedUserId>,
    },
}

impl Change {
    /// The room event, if it is one. For answers that are made of entries; who keeps something in memory matches all kinds.
    pub fn as_event(&self) -> Option<&Arc<Event>> {
        if let Self::Event(event) = self { Some(event) } else { None }
    }
}
