//! Noting that a user has read up to an event.

use std::sync::Arc;

use myelin_engine::{RoomView, ViewError};
use myelin_model::{Event, StreamPos};
use myelin_storage::{AppendError, StorageError, writer::NewReceipt};
use ruma::{EventId, RoomId, UserId};

use super::thread;
use crate::Rooms;

/// The kind of a receipt, which says who hears of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReceiptKind {
    /// All users in the room hear of it.
    Public,
    /// Only the user's own devices hear of it.
    Private,
}

impl ReceiptKind {
    /// The receipt type.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "m.read",
            Self::Private => "m.read.private",
        }
    }
}

/// The reason why a receipt is not stored.
#[derive(Debug, thiserror::Error)]
pub enum ReceiptError {
    /// The user is not in the room.
    #[error("User {0} not in room")]
    NotInRoom(ruma::OwnedUserId),
    /// The room is not shown to the user: the user left it meanwhile.
    #[error(transparent)]
    View(#[from] ViewError),
    /// The room has no such event, or the user may not see it.
    #[error("Event not found.")]
    UnknownEvent,
    /// The event is of another thread.
    #[error("event_id {event_id} is not related to thread {thread_id}")]
    OtherThread {
        event_id: ruma::OwnedEventId,
        /// The thread that was given.
        thread_id: String,
    },
    #[error("could not write the receipt")]
    Storage(#[source] Arc<StorageError>),
}

impl From<StorageError> for ReceiptError {
    fn from(error: StorageError) -> Self {
        Self::Storage(Arc::new(error))
    }
}

/// Note that a user has read a thread of a room, or all of it, up to an event. Receipts only move forward. Returns when it is
/// flushed.
pub async fn set_receipt(
    rooms: &Rooms,
    user_id: &UserId,
    room_id: &RoomId,
    event_id: &EventId,
    kind: ReceiptKind,
    thread_id: Option<&str>,
) -> Result<(), ReceiptError> {
    let (event, pos) = get_event(rooms, user_id, room_id, event_id).await?;
    if let Some(thread_id) = thread_id
        && !thread::contains(rooms, &event, thread_id).await?
    {
        return Err(ReceiptError::OtherThread {
            event_id: event_id.to_owned(),
            thread_id: thread_id.to_owned(),
        });
    }
    rooms.db().ephemeral().set_active(user_id);
    let receipt = NewReceipt {
        room_nid: event.room_nid,
        user_id: user_id.to_owned(),
        receipt_type: kind.as_str().into(),
        thread_id: thread_id.unwrap_or_default().into(),
        event_nid: event.nid,
        event_id: event_id.to_owned(),
        event_pos: pos,
        ts: rooms.now_ms(),
    };
    rooms.db().writer().set_receipt(receipt).await.map_err(|error| match error {
        AppendError::Storage(error) => ReceiptError::Storage(error),
        // Receipts are built upon nothing that could move on.
        AppendError::Conflict => ReceiptError::Storage(Arc::new(StorageError::Stopping)),
    })
}

/// Note where a user wants to go on reading a room. It only moves forward.
pub async fn set_fully_read(
    rooms: &Rooms,
    user_id: &UserId,
    room_id: &RoomId,
    event_id: &EventId,
) -> Result<(), ReceiptError> {
    let (event, pos) = get_event(rooms, user_id, room_id, event_id).await?;
    rooms.db().ephemeral().set_active(user_id);
    let mut tx = rooms.db().begin().await?;
    if let Some(known) = tx.read_markers().find_for_update(user_id, event.room_nid).await?
        && let Some(before) = rooms.db().events().find_by_id(&known).await?
        && before.pos.is_some_and(|before| before >= pos)
    {
        return Ok(());
    }
    tx.read_markers().set(user_id, &event).await?;
    tx.commit().await?;
    Ok(())
}

/// An event of a room that the user is in, and that the user may see.
async fn get_event(
    rooms: &Rooms,
    user_id: &UserId,
    room_id: &RoomId,
    event_id: &EventId,
) -> Result<(Arc<Event>, StreamPos), ReceiptError> {
    let not_in_room = || ReceiptError::NotInRoom(user_id.to_owned());
    let head = rooms.db().heads().find(room_id).await?.ok_or_else(not_in_room)?;
    if !rooms.engine().is_joined(&head, user_id).await? {
        return Err(not_in_room());
    }
    let event =
        rooms.db().events().find_by_id(event_id).await?.ok_or(ReceiptError::UnknownEvent)?;
    let pos = event.pos.filter(|_| event.room_nid == head.room_nid);
    let pos = pos.ok_or(ReceiptError::UnknownEvent)?;
    // All that the log brought to an open room is seen by its members.
    if !(head.is_open && pos > StreamPos::ZERO) {
        let mut view = RoomView::get(rooms.engine(), room_id, user_id).await?;
        if !view.is_in_sight(rooms.engine(), &event).await? && !view.sight.may_see(&event) {
            return Err(ReceiptError::UnknownEvent);
        }
    }
    Ok((event, pos))
}
