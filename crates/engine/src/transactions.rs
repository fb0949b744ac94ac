//! Sending one message event, once a transaction ID.

use std::{collections::VecDeque, convert::Infallible, sync::Arc};

use myelin_model::{RoomNid, Transaction};
use myelin_storage::{Change, LogEntry, LogSubscriber};
use parking_lot::Mutex as SyncMutex;
use quick_cache::sync::Cache;
use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId, RoomId, UserId};
use tokio::sync::Mutex;

use crate::{Attempts, Draft, Engine, EventError, Intent, Refused};

/// The number of users whose transactions are remembered in memory. Those of others are found in the database.
const USERS_MAX: usize = 5_000;

/// The number of transactions that are remembered of a user: the newest.
const TRANSACTIONS_OF_USER_MAX: usize = 50;

/// The event that a transaction became. It is locked while it is being sent, so that the same request, made again
/// meanwhile, waits for it.
type Outcome = Arc<Mutex<Option<OwnedEventId>>>;

/// The outcomes of the transactions of a user, the oldest first.
#[derive(Default)]
struct OfUser(SyncMutex<VecDeque<Remembered>>);

/// A transaction, the room that it is of, and its outcome.
struct Remembered {
    room_id: OwnedRoomId,
    transaction: Transaction,
    outcome: Outcome,
}

/// The events that transactions became.
pub(crate) struct Outcomes {
    users: Cache<OwnedUserId, Arc<OfUser>>,
}

impl Default for Outcomes {
    fn default() -> Self {
        Self { users: Cache::new(USERS_MAX) }
    }
}

/// A device takes its transactions with it when it goes: one of the same ID has its own.
impl LogSubscriber for Outcomes {
    fn apply(&self, entries: &[Arc<LogEntry>]) {
        for entry in entries {
            match &entry.change {
                Change::Sessions { user_id } | Change::Other { user_id: Some(user_id), .. } => {
                    self.users.remove(user_id);
                }
                Change::Other { user_id: None, room_nid: None } => self.users.clear(),
                Change::Other { user_id: None, room_nid: Some(_) }
                | Change::Event(_)
                | Change::StateReset { .. }
                | Change::Receipt { .. }
                | Change::AccountData { .. }
                | Change::Account { .. }
                | Change::Profile { .. }
                | Change::DeviceList { .. }
                | Change::ToDevice { .. }
                | Change::KeyCounts { .. }
                | Change::Signatures { .. }
                | Change::Rewritten { .. }
                | Change::Forgotten { .. } => {}
            }
        }
    }
}

impl std::fmt::Debug for Outcomes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outcomes").field("users", &self.users.len()).finish()
    }
}

impl Outcomes {
    fn of(&self, user_id: &UserId, room_id: &RoomId, transaction: &Transaction) -> Outcome {
        let of_user =
            match self.users.get_or_insert_with(user_id, || Ok::<_, Infallible>(Arc::default())) {
                Ok(of_user) => of_user,
                Err(never) => match never {},
            };
        let mut known = of_user.0.lock();
        if let Some(outcome) = find(&known, room_id, transaction) {
            return outcome;
        }
        if known.len() >= TRANSACTIONS_OF_USER_MAX {
            known.pop_front();
        }
        let (room_id, transaction) = (room_id.to_owned(), transaction.clone());
        let outcome = Outcome::default();
        known.push_back(Remembered { room_id, transaction, outcome: Arc::clone(&outcome) });
        outcome
    }
}

/// The outcome of a transaction among those of its user. Its ID is compared first, as most are told apart by that.
fn find(
    known: &VecDeque<Remembered>,
    room_id: &RoomId,
    transaction: &Transaction,
) -> Option<Outcome> {
    let is_it = |one: &&Remembered| {
        one.transaction.txn_id == transaction.txn_id
            && one.room_id == room_id
            && one.transaction == *transaction
    };
    known.iter().rev().find(is_it).map(|one| Arc::clone(&one.outcome))
}

impl Engine {
    /// The event that a user's transaction became, if that is in memory. Nothing is waited for.
    pub fn recall(
        &self,
        room_id: &RoomId,
        sender: &UserId,
        transaction: &Transaction,
    ) -> Option<OwnedEventId> {
        let of_user = self.outcomes().users.get(sender)?;
        let outcome = find(&of_user.0.lock(), room_id, transaction)?;
        outcome.try_lock().ok()?.clone()
    }

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
        let outcome = self.outcomes().of(intent.sender, room_id, transaction);
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
