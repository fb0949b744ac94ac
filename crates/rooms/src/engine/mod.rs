//! The event pipeline: build, check, append (DESIGN: "The log and the write path").
//!
//! A use case takes a [`Draft`] of a room, which holds the room's lock on this node, adds events to it, and appends it: the
//! events go into the writer's queue under the lock, and only after it is released does the use case wait for the flush. So
//! many events of one room share a batch, each built upon the one before it. What they are built upon is the room's tip: the
//! head with everything that this node has queued. If another node was quicker, messages are appended beside what it wrote,
//! so that the room has one more forward extremity, which the next event follows, too. Anything else, and what would be judged
//! by another state now, is refused with all that was built upon it, and each use case begins anew from the stored head.

mod append;
mod draft;
mod error;
mod intent;
mod known;
mod notify;
mod redactions;
mod state;
mod tip;
mod transactions;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use myelin_model::RoomNid;
use myelin_storage::StorageError;
use quick_cache::{Weighter, sync::Cache};
use rand::RngExt as _;
use ruma::RoomId;
use tokio::sync::Mutex;

pub use self::error::EventError;
pub(crate) use self::{
    append::Refused, draft::Draft, intent::Intent, known::StateEvent, state::Unchanged,
    transactions::Message,
};
use self::{
    tip::Tip,
    transactions::{Outcome, TransactionKey},
};
use crate::Rooms;

/// How much memory the tips of rooms may take on a node, in bytes. A tip holds parsed events; one that is gone is made again
/// from the head and the events, which are mostly in memory.
const TIPS_SIZE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// What the tip of a small room weighs, in bytes.
const TIP_SIZE_BYTES_EXPECTED: u64 = 16_384;

/// How many transactions are remembered in memory. Older ones are found in the database.
const TRANSACTIONS_MAX: usize = 20_000;

/// How often a use case begins anew because another node was quicker.
const ATTEMPTS_MAX: u32 = 200;

/// The longest pause before an attempt. Pauses are random, so that two nodes do not keep step.
const PAUSE_MILLIS_MAX: u64 = 20;

/// A room's lock on this node, and its tip. Without a tip the stored head counts.
type RoomLock = Arc<Mutex<Option<Tip>>>;

#[derive(Clone)]
struct Room {
    lock: RoomLock,
    /// What its tip weighed when it was weighed last.
    size_bytes: u64,
}

#[derive(Clone)]
struct BySize;

impl Weighter<RoomNid, Room> for BySize {
    fn weight(&self, _: &RoomNid, room: &Room) -> u64 {
        room.size_bytes
    }
}

/// The rooms that this node writes to.
pub(crate) struct Engine {
    rooms: Cache<RoomNid, Room, BySize>,
    outcomes: Cache<TransactionKey, Outcome>,
    generations: AtomicU64,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("rooms", &self.rooms.len()).finish_non_exhaustive()
    }
}

impl Default for Engine {
    fn default() -> Self {
        Self {
            rooms: Cache::with_weighter(
                usize::try_from(TIPS_SIZE_BYTES_MAX / TIP_SIZE_BYTES_EXPECTED).unwrap_or_default(),
                TIPS_SIZE_BYTES_MAX,
                BySize,
            ),
            outcomes: Cache::new(TRANSACTIONS_MAX),
            generations: AtomicU64::new(1),
        }
    }
}

impl Engine {
    /// The lock of a room. Should it be evicted while it is held, a second one does no harm: who is slower is refused.
    fn room(&self, room_nid: RoomNid) -> RoomLock {
        let new = || Room { lock: RoomLock::default(), size_bytes: TIP_SIZE_BYTES_EXPECTED };
        match self.rooms.get_or_insert_with(&room_nid, || Ok::<_, std::convert::Infallible>(new()))
        {
            Ok(room) => room.lock,
            Err(never) => match never {},
        }
    }

    /// Weigh a room again whose tip has changed, if it makes a difference.
    fn weigh(&self, room_nid: RoomNid, lock: &RoomLock, size_bytes: usize) {
        let size_bytes = size_bytes as u64;
        match self.rooms.peek(&room_nid) {
            Some(room)
                if Arc::ptr_eq(&room.lock, lock)
                    && room.size_bytes.abs_diff(size_bytes) > room.size_bytes / 4 =>
            {
                self.rooms.insert(room_nid, Room { size_bytes, ..room });
            }
            Some(_) | None => {}
        }
    }

    /// What a transaction becomes.
    fn outcome(&self, key: &TransactionKey) -> Outcome {
        match self
            .outcomes
            .get_or_insert_with(key, || Ok::<_, std::convert::Infallible>(Outcome::default()))
        {
            Ok(outcome) => outcome,
            Err(never) => match never {},
        }
    }

    fn next_generation(&self) -> u64 {
        self.generations.fetch_add(1, Ordering::Relaxed)
    }
}

/// Counts the attempts of a use case.
#[derive(Debug, Default)]
pub(crate) struct Attempts(u32);

impl Attempts {
    /// Call after [`Refused::Conflict`]: waits a little, and gives up in the end.
    pub(crate) async fn again(&mut self) -> Result<(), EventError> {
        self.0 += 1;
        if self.0 >= ATTEMPTS_MAX {
            return Err(EventError::Busy);
        }
        if self.0 > 1 {
            let most = u64::from(self.0).min(PAUSE_MILLIS_MAX);
            let pause = rand::rng().random_range(0..=most);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        Ok(())
    }
}

impl Rooms {
    /// Take the lock of a room and begin to add events to it. `None` if this server does not know the room. A warm room is not
    /// read from the database.
    pub(crate) async fn find_draft(&self, room_id: &RoomId) -> Result<Option<Draft>, StorageError> {
        match self.db().heads().find_nid(room_id).await? {
            Some(room_nid) => Draft::open(self, room_nid).await,
            None => Ok(None),
        }
    }

    /// As [`Rooms::find_draft`], for rooms that must be there.
    pub(crate) async fn get_draft(&self, room_id: &RoomId) -> Result<Draft, EventError> {
        self.find_draft(room_id).await?.ok_or(EventError::UnknownRoom)
    }
}
