//! Sending message events.

use myelin_events::canonical;
use myelin_model::{DeviceSession, limits::TXN_ID_LENGTH_BYTES_MAX};
use ruma::{OwnedEventId, RoomId};
use serde::Deserialize;

use crate::{EventError, Rooms, engine::Message};

/// Why a message event was not sent.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The transaction ID is too long.
    #[error("Transaction ID is too long")]
    TxnIdTooLong,
    /// The event was refused.
    #[error(transparent)]
    Event(#[from] EventError),
}

/// A message event as a client sends it.
#[derive(Debug, Clone, Copy)]
pub struct NewMessage<'a> {
    /// The room.
    pub room_id: &'a RoomId,
    /// The event type.
    pub event_type: &'a str,
    /// The content as JSON. It reaches the event as it is, in canonical form.
    pub content: &'a str,
    /// The client's transaction ID: the same again in the same room, by the same device and for the same type, makes no second event.
    pub txn_id: Option<&'a str>,
    /// The time, in milliseconds since the Unix epoch, where an application service gives one.
    pub origin_server_ts: Option<u64>,
}

/// Send a message event. Returns when it is stored.
#[tracing::instrument(name = "rooms.send", skip_all, fields(room.id = %new.room_id, user.id = %session.user_id))]
pub async fn send(
    rooms: &Rooms,
    session: &DeviceSession,
    new: NewMessage<'_>,
) -> Result<OwnedEventId, SendError> {
    check_txn_id(new.txn_id)?;
    let redacts = match new.event_type {
        "m.room.redaction" => read_redacts(new.content),
        _ => None,
    };
    let message = Message {
        event_type: new.event_type,
        content: new.content,
        redacts: redacts.as_deref(),
        txn_id: new.txn_id,
        origin_server_ts: new.origin_server_ts,
    };
    Ok(rooms.send_message(session, new.room_id, message).await?)
}

pub(crate) fn check_txn_id(txn_id: Option<&str>) -> Result<(), SendError> {
    match txn_id {
        Some(txn_id) if txn_id.len() > TXN_ID_LENGTH_BYTES_MAX => Err(SendError::TxnIdTooLong),
        _ => Ok(()),
    }
}

/// A redaction sent as a plain event names what it redacts in its content.
fn read_redacts(content: &str) -> Option<OwnedEventId> {
    #[derive(Deserialize)]
    struct Content {
        redacts: Option<OwnedEventId>,
    }
    let content = canonical::to_canonical(content, false).ok()?;
    serde_json::from_str::<Content>(&content).ok()?.redacts
}
