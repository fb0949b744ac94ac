//! Sending one message event, once a transaction ID.

use std::{convert::Infallible, sync::Arc};

use myelin_model::{RoomNid, Transaction};
use quick_cache::sync::Cache;
use ruma::{OwnedDeviceId, OwnedEventId, OwnedUserId, RoomId};
use tokio::sync::Mutex;

use crate::{Attempts, Draft, Engine, EventError, Intent, Refused};

/// The number of transactions that are remembered in memory. Older ones are found in the database.
const TRANSACTIONS_MAX: usize = 20_000;

/// The scope of a transaction ID: a device and a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct TransactionKey {
    user_id: OwnedUserId,
    device_id: OwnedDeviceId,
    room_nid: RoomNid,
    path: Box<str>,
    txn_id: Box<str>,
}

/// The event that a transaction became. It is locked while it is being sent, so that the same request, made again
/// meanwhile, waits for it.
type Outcome = Arc<Mutex<Option<OwnedEventId>>>;

/// The events that transactions became.
pub(crate) struct Outcomes {
    cache: Cache<TransactionKey, Outcome>,
}

impl Default for Outcomes {
    fn default() -> Self {
        Self { cache: Cache::new(TRANSACTIONS_MAX) }
    }
}

impl std::fmt::Debug for Outcomes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outcomes").field("transactions", &self.cache.len()).finish()
    }
}

impl Outcomes {
    fn of(&self, key: &TransactionKey) -> Outcome {
        match self.cache.get_or_insert_with(key, || Ok::<_, Infallible>(Outcome::default())) {
            Ok(outcome) => outcome,
            Err(never) => match never {},
        }
    }
}

impl Engine {
    /// Send a message event, or find what its transaction became before. Returns when it is stored. A warm room is not read from
    /// the database.
    pub async fn send(
        &self,
        room_id: &RoomId,
        intent: Intent<'_>,
    ) -> Result<OwnedEventId, EventError> {
        let room_nid = self.db().heads().find_nid(room_id).await?.ok_or(EventError::UnknownRoom)?;
        let Some(transaction) = &intent.transaction else {
            return self.send_untracked(room_nid, &intent).await;
        };
        let outcome = self.outcomes().of(&TransactionKey {
            user_id: intent.sender.to_owned(),
            device_id: transaction.device_id.clone(),
            room_nid,
            path: transaction.path.clone(),
            txn_id: transaction.txn_id.clone(),
        });
        let mut outcome = outcome.lock().await;
        if let Some(event_id) = &*outcome {
            return Ok(event_id.clone());
        }
        let event_id = self.send_untracked(room_nid, &intent).await?;
        *outcome = Some(event_id.clone());
        Ok(event_id)
    }

    /// Send as [`Engine::send`] does, but without a look at the transactions in memory: the database's count.
    async fn send_untracked(
        &self,
        room_nid: RoomNid,
        intent: &Intent<'_>,
    ) -> Result<OwnedEventId, EventError> {
        let mut attempts = Attempts::default();
        loop {
            let mut draft = Draft::open(self, room_nid).await?.ok_or(EventError::UnknownRoom)?;
            let sent = match draft.add(intent.clone()).await {
                Ok(added) => draft.append().await.map(|_| added.event_id),
                Err(error) => Err(Refused::Failed(error)),
            };
            let refused = match sent {
                Ok(event_id) => return Ok(event_id),
                Err(refused) => refused,
            };
            // Sent before: by another node, before a restart, or before the user lost the right to.
            if let Some(event_id) = self.find_sent(room_nid, intent).await? {
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
        room_nid: RoomNid,
        intent: &Intent<'_>,
    ) -> Result<Option<OwnedEventId>, EventError> {
        let Some(Transaction { device_id, path, txn_id }) = &intent.transaction else {
            return Ok(None);
        };
        let sent =
            self.db().transactions().find(intent.sender, device_id, room_nid, path, txn_id).await?;
        Ok(sent.map(|event| event.event_id.clone()))
    }
}
