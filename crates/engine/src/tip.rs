//! A room as it stands with everything that this node has queued for it.

use std::{collections::VecDeque, sync::Arc};

use myelin_events::auth::{Create, PowerLevels};
use myelin_model::EventNid;
use myelin_storage::{ChainCover, RoomHead};

use crate::known::Known;

/// How many state events a tip keeps parsed.
const KNOWN_EVENTS_MAX: usize = 1_024;

/// What a tip takes besides the parsed events, in bytes.
const TIP_SIZE_BYTES: usize = 4_096;

/// The tip of a room.
#[derive(Debug)]
pub(crate) struct Tip {
    /// The head after all that was queued.
    pub(crate) head: RoomHead,
    /// The versions from the last one seen stored up to the head's.
    lineage: VecDeque<i64>,
    /// The parts of the head's state that were looked up.
    pub(crate) known: Known,
    /// The parsed create event.
    pub(crate) create: Option<Arc<Create>>,
    /// The parsed power levels, and the event that they are of.
    pub(crate) levels: Option<(Option<EventNid>, Arc<PowerLevels>)>,
    /// Where state events stand in the chain cover.
    pub(crate) chains: ChainCover,
    /// Tells tips apart: what was built upon one that is gone must not throw away its successor.
    pub(crate) generation: u64,
}

impl Tip {
    pub(crate) fn new(head: RoomHead, generation: u64) -> Self {
        Self {
            lineage: VecDeque::from([head.version]),
            head,
            known: Known::default(),
            create: None,
            levels: None,
            chains: ChainCover::default(),
            generation,
        }
    }

    /// About how much memory it takes, in bytes. The state is the stored head's.
    pub(crate) fn size_bytes(&self) -> usize {
        TIP_SIZE_BYTES + self.known.size_bytes()
    }

    /// Bring the tip in line with the stored head, which another node may have moved. `generation` is for the tip that it becomes then.
    pub(crate) fn follow(&mut self, stored: &RoomHead, generation: impl FnOnce() -> u64) {
        match self.lineage.iter().position(|version| *version == stored.version) {
            Some(at) => {
                drop(self.lineage.drain(..at));
                // What was appended beside events of another node stands otherwise than it was built.
                if self.lineage.len() == 1 && self.head.extremities != stored.extremities {
                    self.head = stored.clone();
                }
            }
            None => {
                self.lineage = VecDeque::from([stored.version]);
                self.known.retain(&stored.state);
                self.chains = ChainCover::default();
                self.head = stored.clone();
                self.generation = generation();
            }
        }
        if self.known.len() > KNOWN_EVENTS_MAX {
            self.known.clear();
        }
        // What is queued is not in the database, so it must not be forgotten.
        if self.lineage.len() == 1 {
            self.chains.bound();
        }
    }

    /// Events were queued: the versions that the stored head will go through.
    pub(crate) fn advance(&mut self, head: RoomHead, versions: impl Iterator<Item = i64>) {
        self.lineage.extend(versions);
        self.head = head;
    }
}
