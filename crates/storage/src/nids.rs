//! Numbers for new things, taken from the database in blocks, so that a writer knows them before it writes.

use myelin_model::{EventNid, RoomNid, StateNid, StreamPos};
use sqlx::PgPool;
use tokio::sync::Mutex;

use crate::{StorageError, reads::Reads};

/// A block of numbers that this node may give out.
#[derive(Debug, Default)]
struct Block {
    next: i64,
    end: i64,
}

/// The source of numbers for new events, rooms and snapshots.
#[derive(Debug)]
pub struct Nids {
    pool: Reads,
    events: Mutex<Block>,
    rooms: Mutex<Block>,
    states: Mutex<Block>,
}

/// The step of `event_nids` and `state_nids`.
const EVENT_BLOCK: i64 = 256;
/// The step of `room_nids`.
const ROOM_BLOCK: i64 = 16;

impl Nids {
    pub(crate) fn new(pool: PgPool) -> Self {
        let pool = Reads::new(pool);
        Self { pool, events: Mutex::default(), rooms: Mutex::default(), states: Mutex::default() }
    }

    /// A number for a new event.
    pub async fn next_event(&self) -> Result<EventNid, StorageError> {
        let mut block = self.events.lock().await;
        if block.next == block.end {
            let first = sqlx::query_scalar!(r#"SELECT nextval('event_nids') AS "nid!""#)
                .fetch_one(&self.pool)
                .await?;
            *block = Block { next: first, end: first + EVENT_BLOCK };
        }
        Ok(EventNid(block.take()))
    }

    /// A number for a new state snapshot.
    pub async fn next_state(&self) -> Result<StateNid, StorageError> {
        let mut block = self.states.lock().await;
        if block.next == block.end {
            let first = sqlx::query_scalar!(r#"SELECT nextval('state_nids') AS "nid!""#)
                .fetch_one(&self.pool)
                .await?;
            *block = Block { next: first, end: first + EVENT_BLOCK };
        }
        Ok(StateNid(block.take()))
    }

    /// Positions for events that stand in nobody's stream, falling: each comes before all that were given out earlier.
    pub async fn unstreamed(&self, count: usize) -> Result<Vec<StreamPos>, StorageError> {
        let positions = sqlx::query_scalar!(
            r#"SELECT nextval('unstreamed_positions') AS "pos!" FROM generate_series(1, $1)"#,
            i32::try_from(count).unwrap_or(i32::MAX)
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(positions.into_iter().map(StreamPos).collect())
    }

    /// A number for a new room.
    pub async fn next_room(&self) -> Result<RoomNid, StorageError> {
        let mut block = self.rooms.lock().await;
        if block.next == block.end {
            let first = sqlx::query_scalar!(r#"SELECT nextval('room_nids') AS "nid!""#)
                .fetch_one(&self.pool)
                .await?;
            *block = Block { next: first, end: first + ROOM_BLOCK };
        }
        Ok(RoomNid(block.take()))
    }
}

impl Block {
    fn take(&mut self) -> i64 {
        let nid = self.next;
        self.next += 1;
        nid
    }
}
