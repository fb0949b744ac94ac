//! Redacting events.

use myelin_engine::Intent;
use myelin_model::DeviceSession;
use myelin_storage::StorageError;
use ruma::{EventId, OwnedEventId, RoomId};

use crate::{
    EventError, Rooms, SendError,
    send::{check_txn_id, transaction_of},
};

/// Why an event was not redacted.
#[derive(Debug, thiserror::Error)]
pub enum RedactError {
    /// A suspended user may redact only what is its own.
    #[error("You can only redact your own events while account is suspended.")]
    Suspended,
    /// The redaction was refused.
    #[error(transparent)]
    Send(#[from] SendError),
}

impl From<EventError> for RedactError {
    fn from(error: EventError) -> Self {
        Self::Send(error.into())
    }
}

/// Whether an event is somebody else's: moderators may have another limit for redacting those.
pub async fn is_of_another(
    rooms: &Rooms,
    session: &DeviceSession,
    event_id: &EventId,
) -> Result<bool, StorageError> {
    let event = rooms.db().events().find_by_id(event_id).await?;
    Ok(event.is_some_and(|event| event.sender != session.user_id))
}

/// Redact an event: send a redaction with this content (`reason` and what else the client gives). Returns when it is stored.
#[tracing::instrument(name = "rooms.redact", skip_all, fields(room.id = %room_id, user.id = %session.user_id, event.id = %event_id))]
pub async fn redact(
    rooms: &Rooms,
    session: &DeviceSession,
    room_id: &RoomId,
    event_id: &EventId,
    content: &str,
    txn_id: Option<&str>,
) -> Result<OwnedEventId, RedactError> {
    check_txn_id(txn_id)?;
    if session.is_suspended
        && is_of_another(rooms, session, event_id).await.map_err(EventError::from)?
    {
        return Err(RedactError::Suspended);
    }
    let intent = Intent {
        redacts: Some(event_id),
        transaction: txn_id.map(|txn_id| transaction_of(session, txn_id)),
        ..Intent::message(&session.user_id, "m.room.redaction", content)
    };
    Ok(rooms.engine().send(room_id, intent).await?)
}
