//! The tips of the rooms that this node writes to, within a bound of memory.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use myelin_model::RoomNid;
use quick_cache::{Weighter, sync::Cache};
use tokio::sync::Mutex;

use crate::tip::Tip;

/// The memory that the tips of rooms may take on a node, in bytes. A tip holds parsed events; one that is gone is made
/// again from the head and the events, which are mostly in memory.
const TIPS_SIZE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The memory that the tip of a small room takes, in bytes.
const TIP_SIZE_BYTES_EXPECTED: u64 = 16_384;

/// A room's lock on this node, and its tip. Without a tip the stored head counts.
pub(crate) type RoomLock = Arc<Mutex<Option<Tip>>>;

#[derive(Clone)]
struct Room {
    lock: RoomLock,
    /// The memory that its tip took when it was weighed last.
    size_bytes: u64,
}

#[derive(Clone)]
struct BySize;

impl Weighter<RoomNid, Room> for BySize {
    fn weight(&self, _: &RoomNid, room: &Room) -> u64 {
        room.size_bytes
    }
}

/// The tips of rooms.
pub(crate) struct Tips {
    rooms: Cache<RoomNid, Room, BySize>,
    generations: AtomicU64,
}

impl std::fmt::Debug for Tips {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tips").field("rooms", &self.rooms.len()).finish_non_exhaustive()
    }
}

impl Default for Tips {
    fn default() -> Self {
        Self {
            rooms: Cache::with_weighter(
                usize::try_from(TIPS_SIZE_BYTES_MAX / TIP_SIZE_BYTES_EXPECTED).unwrap_or_default(),
                TIPS_SIZE_BYTES_MAX,
                BySize,
            ),
            generations: AtomicU64::new(1),
        }
    }
}

impl Tips {
    /// The lock of a room. Should it be evicted while it is held, a second one does no harm: who is slower is refused.
    pub(crate) fn of(&self, room_nid: RoomNid) -> RoomLock {
        let new = || Room { lock: RoomLock::default(), size_bytes: TIP_SIZE_BYTES_EXPECTED };
        match self.rooms.get_or_insert_with(&room_nid, || Ok::<_, Infallible>(new())) {
            Ok(room) => room.lock,
            Err(never) => match never {},
        }
    }

    /// Weigh a room again whose tip has changed, if it makes a difference.
    pub(crate) fn weigh(&self, room_nid: RoomNid, lock: &RoomLock, size_bytes: usize) {
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

    /// A number for a new tip.
    pub(crate) fn next_generation(&self) -> u64 {
        self.generations.fetch_add(1, Ordering::Relaxed)
    }
}
