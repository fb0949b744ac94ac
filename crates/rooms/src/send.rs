//! Sending message events.

use myelin_engine::Intent;
use myelin_events::canonical;
use myelin_model::{Actor, Suspended, Transaction, limits::TXN_ID_LENGTH_BYTES_MAX};
use ruma::{EventId, OwnedEventId, RoomId};
use serde::Deserialize;

use crate::{EventError, Rooms, redact::send_redaction};

/// The reason why a message event was not sent.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The transaction ID is too long.
    #[error("Transaction ID is too long")]
    TxnIdTooLong,
    /// The account is suspended: all that is left to it is to take back what it sent.
    #[error(transparent)]
    Suspended(#[from] Suspended),
    #[error(transparent)]
    Event(#[from] EventError),
}

/// A message event as a client sends it.
#[derive(Debug, Clone, Copy)]
pub struct NewMessage<'a> {
    pub room_id: &'a RoomId,
    pub event_type: &'a str,
    /// The content as JSON. It reaches the event as it is, in canonical form.
    pub content: &'a str,
    /// The client's transaction ID: the same again in the same room, by the same device and for the same type, makes no second event.
    pub txn_id: Option<&'a str>,
    /// The time, in milliseconds since the Unix epoch, where an application service gives one.
    pub origin_server_ts: Option<u64>,
}

/// Send a message event. Returns when it is stored.
#[tracing::instrument(name = "rooms.send", skip_all, fields(room.id = %new.room_id, user.id = %actor.user_id))]
pub async fn send(
    rooms: &Rooms,
    actor: &Actor,
    new: NewMessage<'_>,
) -> Result<OwnedEventId, SendError> {
    check_txn_id(new.txn_id)?;
    let redacts = match new.event_type {
        "m.room.redaction" => read_redacts(new.content),
        _ => None,
    };
    check_suspension(rooms, actor, redacts.as_deref()).await?;
    let intent = Intent {
        redacts: redacts.as_deref(),
        transaction: new.txn_id.map(|txn_id| transaction_of(actor, new.event_type, txn_id)),
        origin_server_ts: new.origin_server_ts,
        ..Intent::message(&actor.user_id, new.event_type, new.content)
    };
    match redacts.as_deref() {
        Some(event_id) => send_redaction(rooms, new.room_id, event_id, intent).await,
        None => Ok(rooms.engine().send(new.room_id, intent).await?),
    }
}

/// The event that the same transaction became before, as far as this node has it in memory.
pub fn recall(rooms: &Rooms, actor: &Actor, new: &NewMessage<'_>) -> Option<OwnedEventId> {
    let transaction = transaction_of(actor, new.event_type, new.txn_id?);
    rooms.engine().recall(new.room_id, &actor.user_id, &transaction)
}

pub(crate) fn check_txn_id(txn_id: Option<&str>) -> Result<(), SendError> {
    match txn_id {
        Some(txn_id) if txn_id.len() > TXN_ID_LENGTH_BYTES_MAX => Err(SendError::TxnIdTooLong),
        _ => Ok(()),
    }
}

/// The transaction of a device: the same path again is the same request. Tokens without a device share one without a name.
pub(crate) fn transaction_of(actor: &Actor, path: &str, txn_id: &str) -> Transaction {
    let device_id = actor.device_id().map_or_else(|| "".into(), ToOwned::to_owned);
    Transaction { device_id, path: path.into(), txn_id: txn_id.into() }
}

/// Refuse all that a suspended user sends, except redactions of its own events.
pub(crate) async fn check_suspension(
    rooms: &Rooms,
    actor: &Actor,
    redacts: Option<&EventId>,
) -> Result<(), SendError> {
    let Err(suspended) = actor.active() else { return Ok(()) };
    let Some(event_id) = redacts else { return Err(suspended.into()) };
    let event = rooms.db().events().find_by_id(event_id).await.map_err(EventError::from)?;
    // An event that is not known is nobody's.
    match event {
        Some(event) if event.sender == actor.user_id => Ok(()),
        Some(_) | None => Err(suspended.into()),
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
