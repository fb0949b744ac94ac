//! Redacting events.

use myelin_engine::Intent;
use myelin_model::Actor;
use myelin_storage::StorageError;
use ruma::{EventId, OwnedEventId, RoomId};

use crate::{
    EventError, Rooms, SendError,
    consequence::Consequence,
    send::{check_suspension, check_txn_id, transaction_of},
    unfinished,
};

/// Whether an event is somebody else's: moderators may have another limit for redacting those.
pub async fn is_of_another(
    rooms: &Rooms,
    actor: &Actor,
    event_id: &EventId,
) -> Result<bool, StorageError> {
    let event = rooms.db().events().find_by_id(event_id).await?;
    Ok(event.is_some_and(|event| event.sender != actor.user_id))
}

/// Redact an event: send a redaction with this content (`reason` and what else the client gives). Returns when it is stored.
#[tracing::instrument(name = "rooms.redact", skip_all, fields(room.id = %room_id, user.id = %actor.user_id, event.id = %event_id))]
pub async fn redact(
    rooms: &Rooms,
    actor: &Actor,
    room_id: &RoomId,
    event_id: &EventId,
    content: &str,
    txn_id: Option<&str>,
) -> Result<OwnedEventId, SendError> {
    check_txn_id(txn_id)?;
    check_suspension(rooms, actor, Some(event_id)).await?;
    let intent = Intent {
        redacts: Some(event_id),
        transaction: txn_id.map(|txn_id| transaction_of(actor, event_id.as_str(), txn_id)),
        ..Intent::message(&actor.user_id, "m.room.redaction", content)
    };
    send_redaction(rooms, room_id, event_id, intent).await
}

/// Send the redaction of an event, and do what follows from it.
pub(crate) async fn send_redaction(
    rooms: &Rooms,
    room_id: &RoomId,
    redacts: &EventId,
    intent: Intent<'_>,
) -> Result<OwnedEventId, SendError> {
    let consequence =
        Consequence::of_redaction(rooms, room_id, redacts).await.map_err(EventError::from)?;
    let Some(consequence) = consequence else {
        return Ok(rooms.engine().send(room_id, intent).await?);
    };
    let work = consequence.begin(rooms).await.map_err(EventError::from)?;
    let event_id = rooms.engine().send(room_id, intent).await?;
    unfinished::finish(rooms, &work).await;
    Ok(event_id)
}
