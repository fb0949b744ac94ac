//! The items that can be appended, and the answers to them.

use std::sync::Arc;

use myelin_model::{Event, EventNid, Membership, RoomNid, StateKeyNid, StateNid, StreamPos};
use ruma::{OwnedDeviceId, OwnedEventId, OwnedUserId};

use crate::{OutsideState, StorageError, heads::RoomHead, state::NewSnapshot};

/// Events for one room, with all that is derived from them. All of it is appended, or nothing.
#[derive(Debug)]
pub struct Append {
    /// The head that the first event was built upon.
    pub built_on: BuiltOn,
    /// The head after the last event, which is its newest.
    pub head: Arc<RoomHead>,
    /// The events, in order. `pos` is filled in, and what changes where the room has moved on; `transaction` is remembered, so that a repeated request is found.
    pub events: Vec<Event>,
    /// The snapshots that the events refer to and that are not stored yet.
    pub snapshots: Vec<NewSnapshot>,
    /// The memberships that the events change.
    pub memberships: Vec<MembershipChange>,
    /// Users who have no membership any more, since the current state lost their member events.
    pub departures: Vec<OwnedUserId>,
    /// The events among these that came from other servers.
    pub arrivals: Vec<Arrival>,
    /// The redactions among the events of what is not known yet.
    pub late_redactions: Vec<LateRedaction>,
    /// The events before these that are not known.
    pub missing: Vec<MissingEvent>,
    /// The states that were told with the member events among these, of a room that this server is not in.
    pub outside: Vec<OutsideState>,
    /// Changes of the current state that do not follow from the events themselves: what state resolution did.
    pub resets: Vec<(StateKeyNid, Option<EventNid>)>,
    /// The places of new state events in the chain cover of the auth graph.
    pub places: Vec<ChainPlace>,
    /// The chain cover's new links.
    pub links: Vec<ChainLink>,
    /// The time of appending, in milliseconds since the epoch.
    pub now_ms: u64,
}

/// A head that events were built upon, as far as it decides whether they may be appended.
///
/// They are where the room still has this head. Messages are in any case in which the room has this state, since that is what
/// entitles their senders: beside what came in between, so that the room has one more forward extremity.
#[derive(Debug, Clone)]
pub struct BuiltOn {
    /// The newest event of the head. `None` for a new room.
    pub newest: Option<EventNid>,
    pub extremities: Vec<EventNid>,
    /// The snapshot of its state. `None` for the empty state of a new room, and for what may be appended to this very head only.
    pub state_nid: Option<StateNid>,
    /// The [`RoomHead::notify_ordinal`] of the head.
    pub notify_ordinal: i64,
}

impl From<&RoomHead> for BuiltOn {
    fn from(head: &RoomHead) -> Self {
        Self {
            newest: head.newest,
            extremities: head.extremities.iter().map(|extremity| extremity.nid).collect(),
            state_nid: head.chain.state_nid(),
            notify_ordinal: head.notify_ordinal,
        }
    }
}

/// An event that came from another server.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// Its number.
    pub event_nid: EventNid,
    pub event_id: OwnedEventId,
    /// The form in which it is known to be stored. `None` if nobody has looked: then it is appended only where nothing
    /// refers to its ID.
    pub known: Option<Known>,
}

/// The form in which an event was stored when somebody looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    Nothing,
    /// The event itself, beside the log.
    Stored {
        /// The place where it stood. `None` for outliers.
        pos: Option<StreamPos>,
    },
}

/// A redaction of an event that is not known yet.
#[derive(Debug, Clone)]
pub struct LateRedaction {
    pub redaction: EventNid,
    /// The event that it redacts.
    pub target_id: OwnedEventId,
    /// Whether its sender had the power to redact whatever that is; else only what comes from the same server.
    pub is_powerful: bool,
}

/// An event that another one names as the one before it, and that is not known.
#[derive(Debug, Clone)]
pub struct MissingEvent {
    /// The event after it.
    pub follower: EventNid,
    /// The event that is missing.
    pub event_id: OwnedEventId,
}

/// A user's membership changes.
#[derive(Debug, Clone)]
pub struct MembershipChange {
    /// The member.
    pub user_id: OwnedUserId,
    /// The membership from now on.
    pub membership: Membership,
    /// The member event that changes it.
    pub event_nid: EventNid,
}

/// The place of a state event in the chain cover.
#[derive(Debug, Clone, Copy)]
pub struct ChainPlace {
    pub event_nid: EventNid,
    /// The chain, named by its first event.
    pub chain_nid: EventNid,
    /// The place in the chain, from 1.
    pub seq: i32,
}

/// A link of the chain cover: who is at or after the source place reaches the target place and all before it.
#[derive(Debug, Clone, Copy)]
pub struct ChainLink {
    /// The source chain, named by its first event.
    pub chain_nid: EventNid,
    /// The place in the source chain, from 1.
    pub seq: i32,
    /// The target chain, named by its first event.
    pub target_chain_nid: EventNid,
    /// The place in the target chain, from 1.
    pub target_seq: i32,
}

/// A receipt to be stored.
#[derive(Debug, Clone)]
pub struct NewReceipt {
    pub room_nid: RoomNid,
    /// The user who has read.
    pub user_id: OwnedUserId,
    /// The kind of receipt: `m.read` or `m.read.private`.
    pub receipt_type: Box<str>,
    /// The thread: empty for the unthreaded receipt, `main`, or a thread root's event ID.
    pub thread_id: Box<str>,
    /// The number of the event read.
    pub event_nid: EventNid,
    /// The event up to which the user has read.
    pub event_id: OwnedEventId,
    /// The place of that event in the log. A receipt for an event before the one of the stored receipt is dropped.
    pub event_pos: StreamPos,
    /// The time of reading, in milliseconds since the epoch.
    pub ts: u64,
}

/// A request that sends messages to devices. It is stored whole, or not at all where its transaction is known already.
#[derive(Debug)]
pub struct SentToDevice {
    /// The user who sends.
    pub sender: OwnedUserId,
    /// The device that sends. Empty for an access token without one.
    pub device_id: Box<str>,
    pub event_type: Box<str>,
    /// The ID by which a repeated request of the same device for the same type is known.
    pub txn_id: Box<str>,
    /// Users of this server, each with a message or more.
    pub deliveries: Vec<Delivery>,
    /// The time of sending, in milliseconds since the epoch.
    pub now_ms: u64,
}

/// The messages of a request for the devices of one user, one for each device. Devices that are not there are passed over.
#[derive(Debug)]
pub struct Delivery {
    pub user_id: OwnedUserId,
    /// The messages as their clients see them, as JSON.
    pub messages: Vec<(OwnedDeviceId, Arc<str>)>,
}

/// Events that stand in the log now.
#[derive(Debug, Clone)]
pub struct Appended {
    /// The events, with their positions.
    pub events: Vec<Arc<Event>>,
    /// The position of the last of them.
    pub pos: StreamPos,
}

/// The reason why nothing was appended.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AppendError {
    /// The room has moved on since the head was read, or a transaction ID is taken: reload and build anew.
    #[error("the room has moved on")]
    Conflict,

    /// The database failed, on this item alone too.
    #[error("could not append to the log")]
    Storage(#[source] Arc<StorageError>),
}
