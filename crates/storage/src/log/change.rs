//! The kinds of change, and how those that are not room events stand in the `log` table.

use std::sync::Arc;

use myelin_model::{Event, EventNid, RoomNid, StateKeyNid, StreamPos};
use ruma::{OwnedEventId, OwnedUserId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::StorageError;

/// A change and its place in the log.
#[derive(Debug, Clone)]
pub struct LogEntry {
    /// Where it stands.
    pub pos: StreamPos,
    /// What changed.
    pub change: Change,
}

/// Something that a client, another server or another node must hear of.
#[derive(Debug, Clone)]
pub enum Change {
    /// A room event was appended.
    Event(Arc<Event>),
    /// State resolution changed a room's current state beyond what the events before this entry say themselves.
    StateReset {
        /// The room.
        room_nid: RoomNid,
        /// Which part of the state.
        state_key_nid: StateKeyNid,
        /// What is current now. `None`: nothing.
        event_nid: Option<EventNid>,
    },
    /// A user has read up to an event.
    Receipt {
        /// The room.
        room_nid: RoomNid,
        /// Who has read.
        user_id: OwnedUserId,
        /// `m.read` or `m.read.private`.
        receipt_type: Box<str>,
        /// The thread: empty for the unthreaded receipt, `main`, or a thread root's event ID.
        thread_id: Box<str>,
        /// The event read.
        event_id: OwnedEventId,
        /// Where the event read stands.
        event_pos: StreamPos,
        /// When, in milliseconds since the epoch.
        ts: u64,
    },
    /// An account data entry was set. Deleted entries have `{}`.
    AccountData {
        /// Whose.
        user_id: OwnedUserId,
        /// The room, or `None` for global account data.
        room_nid: Option<RoomNid>,
        /// The type.
        data_type: Box<str>,
        /// The content.
        content: Arc<RawValue>,
    },
    /// The user's access tokens or devices changed: what is cached of them is void.
    Sessions {
        /// Whose.
        user_id: OwnedUserId,
    },
    /// The account itself changed (admin, locked, suspended, deactivated, erased): what is cached of it is void.
    Account {
        /// Whose.
        user_id: OwnedUserId,
    },
    /// The user's profile changed.
    Profile {
        /// Whose.
        user_id: OwnedUserId,
    },
    /// The keys or names of a user's devices changed.
    DeviceList {
        /// Whose.
        user_id: OwnedUserId,
    },
    /// The user forgot a room.
    Forgotten {
        /// Who.
        user_id: OwnedUserId,
        /// The room.
        room_nid: RoomNid,
    },
    /// Something that this version of the server has no use for, or that was purged since.
    Other,
}

/// A row of `log` before it has a position.
pub(crate) struct Row {
    pub(crate) kind: i16,
    pub(crate) room_nid: Option<i64>,
    pub(crate) user_id: Option<String>,
    pub(crate) payload: String,
}

/// The numbers in `log.kind`. 2 stands in the function `append_batch` too.
mod kind {
    pub(super) const STATE_RESET: i16 = 1;
    pub(super) const RECEIPT: i16 = 2;
    pub(super) const ACCOUNT_DATA: i16 = 3;
    pub(super) const SESSIONS: i16 = 4;
    pub(super) const ACCOUNT: i16 = 5;
    pub(super) const PROFILE: i16 = 6;
    pub(super) const DEVICE_LIST: i16 = 7;
    pub(super) const FORGOTTEN: i16 = 8;
}

#[derive(Serialize, Deserialize)]
struct StateResetPayload {
    k: i64,
    e: Option<i64>,
}

#[derive(Serialize, Deserialize)]
struct ReceiptPayload {
    r: Box<str>,
    t: Box<str>,
    e: OwnedEventId,
    p: i64,
    ts: u64,
}

#[derive(Serialize, Deserialize)]
struct AccountDataPayload {
    t: Box<str>,
    c: Box<RawValue>,
}

/// The row of a change. `None` for room events, which have a table of their own.
pub(crate) fn encode(change: &Change) -> Result<Option<Row>, StorageError> {
    let row = |kind, room_nid: Option<RoomNid>, user_id: Option<&OwnedUserId>, payload: String| {
        Some(Row {
            kind,
            room_nid: room_nid.map(|nid| nid.0),
            user_id: user_id.map(|id| id.to_string()),
            payload,
        })
    };
    let nothing = || "{}".to_owned();
    Ok(match change {
        Change::Event(_) | Change::Other => None,
        Change::StateReset { room_nid, state_key_nid, event_nid } => {
            let payload = StateResetPayload { k: state_key_nid.0, e: event_nid.map(|nid| nid.0) };
            row(kind::STATE_RESET, Some(*room_nid), None, to_json(&payload)?)
        }
        Change::Receipt { room_nid, user_id, receipt_type, thread_id, event_id, event_pos, ts } => {
            let payload = ReceiptPayload {
                r: receipt_type.clone(),
                t: thread_id.clone(),
                e: event_id.clone(),
                p: event_pos.0,
                ts: *ts,
            };
            row(kind::RECEIPT, Some(*room_nid), Some(user_id), to_json(&payload)?)
        }
        Change::AccountData { user_id, room_nid, data_type, content } => {
            let payload = AccountDataPayload { t: data_type.clone(), c: (**content).to_owned() };
            row(kind::ACCOUNT_DATA, *room_nid, Some(user_id), to_json(&payload)?)
        }
        Change::Sessions { user_id } => row(kind::SESSIONS, None, Some(user_id), nothing()),
        Change::Account { user_id } => row(kind::ACCOUNT, None, Some(user_id), nothing()),
        Change::Profile { user_id } => row(kind::PROFILE, None, Some(user_id), nothing()),
        Change::DeviceList { user_id } => row(kind::DEVICE_LIST, None, Some(user_id), nothing()),
        Change::Forgotten { user_id, room_nid } => {
            row(kind::FORGOTTEN, Some(*room_nid), Some(user_id), nothing())
        }
    })
}

/// Read a row of `log`. `None` for kinds of a newer version of the server, which this one has no use for.
pub(crate) fn decode(row: Row) -> Result<Option<Change>, StorageError> {
    let room_nid = row.room_nid.map(RoomNid);
    let room = || room_nid.ok_or_else(|| StorageError::inconsistent("log.room_nid")("missing"));
    let user = || {
        let user_id = row
            .user_id
            .clone()
            .ok_or_else(|| StorageError::inconsistent("log.user_id")("missing"))?;
        OwnedUserId::try_from(user_id).map_err(StorageError::inconsistent("log.user_id"))
    };
    Ok(Some(match row.kind {
        kind::STATE_RESET => {
            let payload: StateResetPayload = from_json(&row.payload)?;
            Change::StateReset {
                room_nid: room()?,
                state_key_nid: StateKeyNid(payload.k),
                event_nid: payload.e.map(EventNid),
            }
        }
        kind::RECEIPT => {
            let payload: ReceiptPayload = from_json(&row.payload)?;
            Change::Receipt {
                room_nid: room()?,
                user_id: user()?,
                receipt_type: payload.r,
                thread_id: payload.t,
                event_id: payload.e,
                event_pos: StreamPos(payload.p),
                ts: payload.ts,
            }
        }
        kind::ACCOUNT_DATA => {
            let payload: AccountDataPayload = from_json(&row.payload)?;
            Change::AccountData {
                user_id: user()?,
                room_nid,
                data_type: payload.t,
                content: payload.c.into(),
            }
        }
        kind::SESSIONS => Change::Sessions { user_id: user()? },
        kind::ACCOUNT => Change::Account { user_id: user()? },
        kind::PROFILE => Change::Profile { user_id: user()? },
        kind::DEVICE_LIST => Change::DeviceList { user_id: user()? },
        kind::FORGOTTEN => Change::Forgotten { user_id: user()?, room_nid: room()? },
        _ => return Ok(None),
    }))
}

/// Read the columns of a row of `log`. What this version of the server has no use for is [`Change::Other`].
pub(crate) fn decode_row(
    kind: i16,
    room_nid: Option<i64>,
    user_id: Option<String>,
    payload: String,
) -> Result<Change, StorageError> {
    Ok(decode(Row { kind, room_nid, user_id, payload })?.unwrap_or(Change::Other))
}

fn to_json(payload: &impl Serialize) -> Result<String, StorageError> {
    serde_json::to_string(payload).map_err(StorageError::inconsistent("log.payload"))
}

fn from_json<'a, T: Deserialize<'a>>(payload: &'a str) -> Result<T, StorageError> {
    serde_json::from_str(payload).map_err(StorageError::inconsistent("log.payload"))
}
