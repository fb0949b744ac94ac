//! Sending one message event, once a transaction ID.

use std::sync::Arc;

use myelin_model::{DeviceSession, RoomNid, Transaction};
use ruma::{EventId, OwnedDeviceId, OwnedEventId, OwnedUserId, RoomId};
use tokio::sync::Mutex;

use super::{Attempts, Draft, EventError, Intent, Refused};
use crate::Rooms;

/// What a transaction ID holds for: a device and a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct TransactionKey {
    user_id: OwnedUserId,
    device_id: OwnedDeviceId,
    room_nid: RoomNid,
    event_type: Box<str>,
    txn_id: Box<str>,
}

/// What a transaction became. Locked while it is being sent, so that the same request, made again meanwhile, waits for it.
pub(super) type Outcome = Arc<Mutex<Option<OwnedEventId>>>;

/// A message event to be sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Message<'a> {
    pub(crate) event_type: &'a str,
    pub(crate) content: &'a str,
    pub(crate) redacts: Option<&'a EventId>,
    pub(crate) txn_id: Option<&'a str>,
    pub(crate) origin_server_ts: Option<u64>,
}

impl Rooms {
    /// Send a message event, or find what the transaction became before. A warm room is not read from the database.
    pub(crate) async fn send_message(
        &self,
        session: &DeviceSession,
        room_id: &RoomId,
        message: Message<'_>,
    ) -> Result<OwnedEventId, EventError> {
        let room_nid = self.db().heads().find_nid(room_id).await?.ok_or(EventError::UnknownRoom)?;
        let Some(txn_id) = message.txn_id else {
            return self.send_untracked(session, room_nid, message).await;
        };
        let key = TransactionKey {
            user_id: session.user_id.clone(),
            device_id: device_of(session),
            room_nid,
            event_type: message.event_type.into(),
            txn_id: txn_id.into(),
        };
        let outcome = self.engine().outcome(&key);
        let mut outcome = outcome.lock().await;
        if let Some(event_id) = &*outcome {
            return Ok(event_id.clone());
        }
        let event_id = self.send_untracked(session, room_nid, message).await?;
        *outcome = Some(event_id.clone());
        Ok(event_id)
    }

    /// As [`Rooms::send_message`], but for what is in memory of transactions: what is in the database counts.
    async fn send_untracked(
        &self,
        session: &DeviceSession,
        room_nid: RoomNid,
        message: Message<'_>,
    ) -> Result<OwnedEventId, EventError> {
        let mut attempts = Attempts::default();
        loop {
            let mut draft = Draft::open(self, room_nid).await?.ok_or(EventError::UnknownRoom)?;
            let transaction = message
                .txn_id
                .map(|txn_id| Transaction { device_id: device_of(session), txn_id: txn_id.into() });
            let intent = Intent {
                redacts: message.redacts,
                transaction,
                origin_server_ts: message.origin_server_ts,
                ..Intent::message(&session.user_id, message.event_type, message.content)
            };
            let sent = match draft.add(intent).await {
                Ok(added) => draft.append().await.map(|_| added.event_id),
                Err(error) => Err(Refused::Failed(error)),
            };
            let refused = match sent {
                Ok(event_id) => return Ok(event_id),
                Err(refused) => refused,
            };
            // Sent before: by another node, before a restart, or before the user lost the right to.
            if let Some(event_id) = self.find_sent(session, room_nid, message).await? {
                return Ok(event_id);
            }
            match refused {
                Refused::Conflict => attempts.again().await?,
                Refused::Failed(error) => return Err(error),
            }
        }
    }

    async fn find_sent(
        &self,
        session: &DeviceSession,
        room_nid: RoomNid,
        message: Message<'_>,
    ) -> Result<Option<OwnedEventId>, EventError> {
        let Some(txn_id) = message.txn_id else { return Ok(None) };
        let device_id = device_of(session);
        let sent = self
            .db()
            .find_transaction(&session.user_id, &device_id, room_nid, message.event_type, txn_id)
            .await?;
        Ok(sent.map(|event| event.event_id.clone()))
    }
}

/// The device that a transaction belongs to. Tokens without one share a device without a name.
fn device_of(session: &DeviceSession) -> OwnedDeviceId {
    session.device_id.clone().unwrap_or_else(|| "".into())
}
