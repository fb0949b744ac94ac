//! Whole states in memory, on which the states of a room are based.
//!
//! A large room's states are read as a few differences to a whole one. That is kept here, so that it is read once, and so that the states
//! made of it share what is the same: they are compared in the time that their differences take, not the room's size.

use myelin_model::{EventNid, StateKeyNid, StateNid};
use quick_cache::{Weighter, sync::Cache};

use super::{NewSnapshot, StateMap};

/// The number of entries from which on a state is worth keeping. Smaller ones are read as quickly as they are found.
const ENTRIES_MIN: usize = 1_000;

/// The memory that all of them may take, in bytes.
const SIZE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The number of them that is expected. Each statement that reads states names them all.
const STATES_EXPECTED: usize = 128;

/// The memory that an entry takes, in bytes.
const ENTRY_SIZE_BYTES: u64 = (size_of::<StateKeyNid>() + size_of::<EventNid>()) as u64 * 3 / 2;

#[derive(Clone)]
struct BySize;

impl Weighter<StateNid, StateMap> for BySize {
    fn weight(&self, _: &StateNid, state: &StateMap) -> u64 {
        (state.len() as u64).saturating_mul(ENTRY_SIZE_BYTES).max(1)
    }
}

/// The whole states that were read lately. Snapshots never change, so they are true for good.
pub(crate) struct WholeStates {
    states: Cache<StateNid, StateMap, BySize>,
}

impl Default for WholeStates {
    fn default() -> Self {
        Self { states: Cache::with_weighter(STATES_EXPECTED, SIZE_BYTES_MAX, BySize) }
    }
}

impl std::fmt::Debug for WholeStates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WholeStates").field("states", &self.states.len()).finish_non_exhaustive()
    }
}

impl WholeStates {
    /// All that are in memory.
    pub(super) fn list(&self) -> Vec<(StateNid, StateMap)> {
        self.states.iter().collect()
    }

    /// Keep the whole state of a snapshot that is about to be stored, if it is one: the room that moves on to it shares the state with
    /// whoever reads it later. Should it not be stored after all, its number is given to no other.
    pub(crate) fn keep(&self, snapshot: &NewSnapshot) {
        if let Some(whole) = &snapshot.whole {
            self.insert(snapshot.state_nid, whole);
        }
    }

    /// Keep a whole state that was read, if it is large.
    pub(super) fn insert(&self, state_nid: StateNid, state: &StateMap) {
        if state.len() >= ENTRIES_MIN {
            self.states.insert(state_nid, state.clone());
        }
    }
}
