//! The rooms whose forward extremities are to be joined, and the task that joins them.

use std::{collections::BTreeSet, time::Duration};

use parking_lot::Mutex;
use quick_cache::sync::Cache;
use ruma::{OwnedRoomId, RoomId};
use tokio::sync::Notify;

use super::join::Joining;
use crate::Engine;

/// The number of rooms that wait to be joined. A further one waits when its next event comes in.
const ROOMS_WAITING_MAX: usize = 1_000;

/// The number of rooms that are remembered as such in which no user of this server may send.
const ROOMS_CLOSED_MAX: usize = 1_000;

/// The time for which they are left in peace, in milliseconds.
const CLOSED_MILLIS: u64 = 24 * 60 * 60 * 1_000;

/// The pause between two rounds: what comes at once is joined by one event.
const ROUND_INTERVAL: Duration = Duration::from_secs(60);

/// The rooms that this node has found to have many forward extremities.
pub(crate) struct Forked {
    waiting: Mutex<BTreeSet<OwnedRoomId>>,
    noted: Notify,
    /// Rooms in which no user of this server may send, with when that was found out.
    closed: Cache<OwnedRoomId, u64>,
}

impl Default for Forked {
    fn default() -> Self {
        let closed = Cache::new(ROOMS_CLOSED_MAX);
        Self { waiting: Mutex::default(), noted: Notify::new(), closed }
    }
}

impl std::fmt::Debug for Forked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Forked")
            .field("waiting", &self.waiting.lock().len())
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// Join the forward extremities of rooms in which events came in by this node and left many, a while after they did, as long as the
    /// future is polled.
    ///
    /// Each node does it for the events that came to it: the second of two finds that little is left to join.
    pub async fn keep_joined(&self) {
        loop {
            self.forked().noted.notified().await;
            tokio::time::sleep(ROUND_INTERVAL).await;
            self.join_noted().await;
        }
    }

    /// Join the forward extremities of the rooms that wait for it now. What fails is logged: the room waits again with its next event.
    pub async fn join_noted(&self) {
        let waiting = std::mem::take(&mut *self.forked().waiting.lock());
        for room_id in waiting {
            match self.join_extremities(&room_id).await {
                Ok(Joining::Joined(_) | Joining::Few) => {}
                Ok(Joining::Closed) => self.forked().closed.insert(room_id, self.now_ms()),
                Err(error) => tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    room = %room_id,
                    "forward extremities could not be joined"
                ),
            }
        }
    }

    /// Have the forward extremities of a room be joined soon.
    pub(super) fn note_forked(&self, room_id: &RoomId) {
        let forked = self.forked();
        let closed_ms = forked.closed.get(room_id);
        if closed_ms.is_some_and(|then| self.now_ms().saturating_sub(then) < CLOSED_MILLIS) {
            return;
        }
        let mut waiting = forked.waiting.lock();
        if waiting.len() < ROOMS_WAITING_MAX && waiting.insert(room_id.to_owned()) {
            forked.noted.notify_one();
        }
    }
}
