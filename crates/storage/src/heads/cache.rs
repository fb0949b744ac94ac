//! The cache of heads.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use myelin_model::{Event, RoomNid, StreamPos};
use parking_lot::Mutex;
use quick_cache::sync::Cache;
use ruma::{OwnedRoomId, RoomId};
use sqlx::PgPool;

use super::{RoomHead, read};
use crate::{
    StorageError,
    log::{Change, LogEntry, LogSubscriber},
    reads::Reads,
    state::WholeStates,
};

/// The number of room IDs that are remembered with their numbers.
const IDS_MAX: usize = 100_000;

/// The memory that heads may take, in bytes. Beyond it those that were used least recently go.
const HEADS_SIZE_BYTES_MAX: usize = 20 * 1024 * 1024;

/// The memory that a head takes besides its state, and that an entry of a state takes, in bytes.
const HEAD_SIZE_BYTES: usize = 2_048;
const STATE_ENTRY_SIZE_BYTES: usize = 32;

/// The heads of the rooms in use.
pub struct Heads {
    pool: Reads,
    whole_states: Arc<WholeStates>,
    slots: Mutex<Slots>,
    ids: Cache<OwnedRoomId, RoomNid>,
    uses: AtomicU64,
}

#[derive(Default)]
struct Slots {
    by_room: HashMap<RoomNid, Slot>,
    /// The memory that all heads which are ready take together.
    size_bytes: usize,
}

enum Slot {
    /// Being read by some tasks. What the log brings meanwhile is kept, to be carried on by.
    Reading { readers: usize, brought: Vec<Brought> },
    /// The head is in line with the log.
    Ready { head: Arc<RoomHead>, used: u64 },
}

#[derive(Clone)]
enum Brought {
    Event(StreamPos, Arc<Event>),
    /// Something happened that only the database tells.
    Unclear(StreamPos),
}

impl std::fmt::Debug for Heads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Heads")
            .field("heads", &self.slots.lock().by_room.len())
            .finish_non_exhaustive()
    }
}

impl Heads {
    pub(crate) fn new(pool: PgPool, whole_states: Arc<WholeStates>) -> Self {
        let pool = Reads::new(pool);
        let (slots, uses) = (Mutex::default(), AtomicU64::new(0));
        Self { pool, whole_states, slots, ids: Cache::new(IDS_MAX), uses }
    }

    /// The number of a room, if this server knows the room.
    pub async fn find_nid(&self, room_id: &RoomId) -> Result<Option<RoomNid>, StorageError> {
        if let Some(nid) = self.ids.get(room_id) {
            return Ok(Some(nid));
        }
        let nid =
            sqlx::query_scalar!("SELECT room_nid FROM rooms WHERE room_id = $1", room_id.as_str())
                .fetch_optional(&self.pool)
                .await?
                .map(RoomNid);
        if let Some(nid) = nid {
            self.ids.insert(room_id.to_owned(), nid);
        }
        Ok(nid)
    }

    /// The head of a room, if this server knows the room. It is at least as new as [`crate::Log::applied`] was at the call.
    pub async fn find(&self, room_id: &RoomId) -> Result<Option<Arc<RoomHead>>, StorageError> {
        let Some(nid) = self.find_nid(room_id).await? else { return Ok(None) };
        Ok(self.find_many(&[nid]).await?.remove(&nid))
    }

    /// The head of a room by number, if it is in memory.
    pub fn find_ready(&self, room_nid: RoomNid) -> Option<Arc<RoomHead>> {
        match self.slots.lock().by_room.get_mut(&room_nid) {
            Some(Slot::Ready { head, used }) => {
                *used = self.uses.fetch_add(1, Ordering::Relaxed);
                Some(Arc::clone(head))
            }
            Some(Slot::Reading { .. }) | None => None,
        }
    }

    /// The heads of many rooms. It takes two queries for all that are not in memory.
    pub async fn find_many(
        &self,
        nids: &[RoomNid],
    ) -> Result<HashMap<RoomNid, Arc<RoomHead>>, StorageError> {
        let (mut found, missing) = self.begin(nids);
        if missing.is_empty() {
            return Ok(found);
        }
        // Takes the readers' places back if reading fails or the caller goes away.
        let reading = Reading { heads: self, nids: missing };
        let read = read::heads(&self.pool, &self.whole_states, &reading.nids).await?;
        for head in read.into_values() {
            self.ids.insert(head.room_id.clone(), head.room_nid);
            found.insert(head.room_nid, self.finish(head));
        }
        drop(reading);
        Ok(found)
    }

    /// Keep the head of a room that this node has made. To be called when the log is applied up to the head's last
    /// position and no further. Who reads the head already goes on doing so.
    pub(crate) fn adopt(&self, head: RoomHead) {
        self.ids.insert(head.room_id.clone(), head.room_nid);
        let used = self.uses.fetch_add(1, Ordering::Relaxed);
        let mut slots = self.slots.lock();
        if !slots.by_room.contains_key(&head.room_nid) {
            slots.keep(Arc::new(head), used);
        }
    }

    /// Forget a head, so that it is read anew: a writer found it outdated.
    pub fn forget(&self, room_nid: RoomNid) {
        let mut slots = self.slots.lock();
        if let Some(Slot::Ready { .. }) = slots.by_room.get(&room_nid) {
            slots.remove(room_nid);
        }
    }

    /// The heads in memory; the rooms without one are marked as being read.
    fn begin(&self, nids: &[RoomNid]) -> (HashMap<RoomNid, Arc<RoomHead>>, Vec<RoomNid>) {
        let (mut found, mut missing) = (HashMap::with_capacity(nids.len()), Vec::new());
        let now = self.uses.fetch_add(1, Ordering::Relaxed);
        let mut slots = self.slots.lock();
        for nid in nids {
            match slots.by_room.get_mut(nid) {
                Some(Slot::Ready { head, used }) => {
                    *used = now;
                    found.insert(*nid, Arc::clone(head));
                }
                Some(Slot::Reading { readers, .. }) => {
                    *readers += 1;
                    missing.push(*nid);
                }
                None => {
                    slots.by_room.insert(*nid, Slot::Reading { readers: 1, brought: Vec::new() });
                    missing.push(*nid);
                }
            }
        }
        (found, missing)
    }

    /// Put a head that was read into the cache, carried on by what the log brought while it was being read.
    fn finish(&self, mut head: RoomHead) -> Arc<RoomHead> {
        let mut slots = self.slots.lock();
        let brought = match slots.by_room.get(&head.room_nid) {
            Some(Slot::Reading { brought, .. }) => brought.clone(),
            // Another reader was quicker, and its head is in line with the log.
            Some(Slot::Ready { head, .. }) => return Arc::clone(head),
            None => Vec::new(),
        };
        let mut clear = true;
        for one in brought {
            clear &= match one {
                Brought::Event(pos, _) | Brought::Unclear(pos) if pos <= head.last_pos => true,
                Brought::Event(pos, event) => head.carry_on(&event, pos),
                Brought::Unclear(_) => false,
            };
        }
        let head = Arc::new(head);
        if clear {
            let used = self.uses.fetch_add(1, Ordering::Relaxed);
            slots.keep(Arc::clone(&head), used);
        }
        head
    }

    /// Take up an entry that concerns a room. `carry_on` returns whether the head could follow.
    fn follow(&self, room_nid: RoomNid, brought: Brought) {
        let mut slots = self.slots.lock();
        let Slots { by_room, size_bytes } = &mut *slots;
        match by_room.get_mut(&room_nid) {
            None => {}
            Some(Slot::Reading { brought: kept, .. }) => kept.push(brought),
            Some(Slot::Ready { head, .. }) => {
                *size_bytes = size_bytes.saturating_sub(size_of(head));
                let followed = match &brought {
                    Brought::Event(pos, _) | Brought::Unclear(pos) if *pos <= head.last_pos => true,
                    Brought::Event(pos, event) => Arc::make_mut(head).carry_on(event, *pos),
                    Brought::Unclear(_) => false,
                };
                *size_bytes += size_of(head);
                if !followed {
                    slots.remove(room_nid);
                }
            }
        }
    }
}

fn size_of(head: &RoomHead) -> usize {
    HEAD_SIZE_BYTES + head.state.len() * STATE_ENTRY_SIZE_BYTES
}

impl Slots {
    fn keep(&mut self, head: Arc<RoomHead>, used: u64) {
        self.remove(head.room_nid);
        self.size_bytes += size_of(&head);
        self.by_room.insert(head.room_nid, Slot::Ready { head, used });
        if self.size_bytes > HEADS_SIZE_BYTES_MAX {
            self.evict();
        }
    }

    fn remove(&mut self, room_nid: RoomNid) {
        if let Some(Slot::Ready { head, .. }) = self.by_room.remove(&room_nid) {
            self.size_bytes = self.size_bytes.saturating_sub(size_of(&head));
        }
    }

    /// Let go of the heads that were used least recently, until a tenth of the room is free. The newest stays in any case.
    fn evict(&mut self) {
        let mut uses: Vec<(u64, RoomNid)> = self
            .by_room
            .iter()
            .filter_map(|(nid, slot)| match slot {
                Slot::Ready { used, .. } => Some((*used, *nid)),
                Slot::Reading { .. } => None,
            })
            .collect();
        uses.sort_unstable();
        uses.pop();
        for (_, nid) in uses {
            if self.size_bytes <= HEADS_SIZE_BYTES_MAX / 10 * 9 {
                break;
            }
            self.remove(nid);
        }
    }
}

/// Rooms that a task is reading.
struct Reading<'heads> {
    heads: &'heads Heads,
    nids: Vec<RoomNid>,
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        let mut slots = self.heads.slots.lock();
        for nid in &self.nids {
            if let Some(Slot::Reading { readers, .. }) = slots.by_room.get_mut(nid) {
                *readers -= 1;
                if *readers == 0 {
                    slots.remove(*nid);
                }
            }
        }
    }
}

impl LogSubscriber for Heads {
    fn apply(&self, entries: &[Arc<LogEntry>]) {
        for entry in entries {
            match &entry.change {
                Change::Event(event) => {
                    self.follow(event.room_nid, Brought::Event(entry.pos, Arc::clone(event)))
                }
                Change::StateReset { room_nid, .. }
                | Change::Other { room_nid: Some(room_nid), .. } => {
                    self.follow(*room_nid, Brought::Unclear(entry.pos))
                }
                Change::Receipt { .. }
                | Change::AccountData { .. }
                | Change::Sessions { .. }
                | Change::Account { .. }
                | Change::Profile { .. }
                | Change::DeviceList { .. }
                | Change::ToDevice { .. }
                | Change::KeyCounts { .. }
                | Change::Signatures { .. }
                | Change::Rewritten { .. }
                | Change::Forgotten { .. }
                | Change::Other { room_nid: None, .. } => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use myelin_model::{EventNid, StateKeyNid};
    use ruma::{RoomVersionId, owned_room_id};

    use super::*;

    fn head(room: i64, entries: i64) -> Arc<RoomHead> {
        let mut head = RoomHead::new(RoomNid(room), owned_room_id!("!r:h"), RoomVersionId::V12);
        head.state.extend((0..entries).map(|entry| (StateKeyNid(entry), EventNid(entry))));
        Arc::new(head)
    }

    #[test]
    fn heads_take_bounded_memory_and_the_newest_stay() {
        let mut slots = Slots::default();
        let entries_max = i64::try_from(HEADS_SIZE_BYTES_MAX / STATE_ENTRY_SIZE_BYTES).unwrap();
        let by_turns = [10, 1_000, 50_000];
        for (used, entries) in (1..).zip(by_turns.into_iter().cycle().take(3_000)) {
            slots.keep(head(used, entries), used.unsigned_abs());
            let sizes = slots.by_room.values().map(|slot| match slot {
                Slot::Ready { head, .. } => size_of(head),
                Slot::Reading { .. } => 0,
            });
            assert_eq!(slots.size_bytes, sizes.sum::<usize>());
            assert!(slots.size_bytes <= HEADS_SIZE_BYTES_MAX);
            assert!(slots.by_room.contains_key(&RoomNid(used)));
        }
        slots.keep(head(0, entries_max), u64::MAX);
        assert_eq!(slots.by_room.len(), 1, "a room that is too large by itself is kept alone");
    }
}
