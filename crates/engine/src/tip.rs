//! A room as it stands with everything that this node has queued for it.

use std::{collections::VecDeque, sync::Arc};

use myelin_events::auth::{Create, PowerLevels};
use myelin_model::EventNid;
use myelin_storage::{ChainCover, RoomHead};

use crate::{
    known::{Known, StateEvent},
    policy::Annotation,
};

/// The number of state keys of which a tip keeps its knowledge.
const KNOWN_KEYS_MAX: usize = 1_024;

/// The memory that a tip takes besides the parsed events, in bytes.
const TIP_SIZE_BYTES: usize = 4_096;

/// A redaction of a state event that this node has queued.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QueuedRedaction {
    pub(crate) redaction: EventNid,
    /// The event that it redacts.
    pub(crate) redacted: EventNid,
}

/// An annotation that this node has queued.
#[derive(Debug)]
pub(crate) struct QueuedAnnotation {
    /// The event.
    pub(crate) nid: EventNid,
    /// The relation that it makes.
    pub(crate) annotation: Annotation,
}

/// The tip of a room.
#[derive(Debug)]
pub(crate) struct Tip {
    /// The head after all that was queued.
    pub(crate) head: RoomHead,
    /// The newest events of the heads from the last one seen stored up to this one: but for the first, the events that are queued.
    lineage: VecDeque<Option<EventNid>>,
    /// The parts of the head's state that were looked up.
    pub(crate) known: Known,
    /// The parsed create event.
    pub(crate) create: Option<Arc<Create>>,
    /// The parsed power levels, and the event that they are of.
    pub(crate) levels: Option<(Option<Arc<StateEvent>>, Arc<PowerLevels>)>,
    /// The redactions of state that are queued: what the database holds is not redacted by them yet.
    pub(crate) redactions: Vec<QueuedRedaction>,
    /// The annotations that are queued: the database does not tell of them yet.
    pub(crate) annotations: Vec<QueuedAnnotation>,
    /// The number of redactions that the log had brought when the oldest part of the knowledge was read.
    redactions_seen: u64,
    /// The places of state events in the chain cover.
    pub(crate) chains: ChainCover,
    /// Tells tips apart: what was built upon one that is gone must not throw away its successor.
    pub(crate) generation: u64,
}

impl Tip {
    pub(crate) fn new(head: RoomHead, redactions_seen: u64, generation: u64) -> Self {
        Self {
            lineage: VecDeque::from([head.newest]),
            head,
            known: Known::default(),
            create: None,
            levels: None,
            redactions: Vec::new(),
            annotations: Vec::new(),
            redactions_seen,
            chains: ChainCover::default(),
            generation,
        }
    }

    /// About how much memory it takes, in bytes. The state is the stored head's.
    pub(crate) fn size_bytes(&self) -> usize {
        TIP_SIZE_BYTES + self.known.size_bytes()
    }

    /// Bring the tip in line with the stored head, which another node may have moved, and with the redactions of state events
    /// that the log has brought: `redactions_seen`, counted after the head was looked at. `generation` is for the tip that it
    /// becomes if another node has moved the head.
    pub(crate) fn follow(
        &mut self,
        stored: &RoomHead,
        redactions_seen: u64,
        generation: impl FnOnce() -> u64,
    ) {
        match self.lineage.iter().position(|newest| *newest == stored.newest) {
            Some(at) => {
                drop(self.lineage.drain(..at));
                // What was appended beside events of another node stands otherwise than it was built.
                if self.lineage.len() == 1 && self.head.extremities != stored.extremities {
                    self.head = stored.clone();
                }
            }
            None => {
                self.lineage = VecDeque::from([stored.newest]);
                self.known.retain_state(&stored.state);
                // What this node has queued may be refused, and its redactions with it.
                if !self.redactions.is_empty() {
                    self.forget_stored();
                }
                self.chains = ChainCover::default();
                self.head = stored.clone();
                self.generation = generation();
            }
        }
        let queued = self.lineage.iter().skip(1);
        self.redactions.retain(|one| queued.clone().any(|nid| *nid == Some(one.redaction)));
        self.annotations.retain(|one| queued.clone().any(|nid| *nid == Some(one.nid)));
        if self.known.len() > KNOWN_KEYS_MAX || redactions_seen != self.redactions_seen {
            self.forget_stored();
            self.redactions_seen = redactions_seen;
        }
        // What is queued is not in the database, so it must not be forgotten.
        if self.lineage.len() == 1 {
            self.chains.bound();
        }
    }

    /// Forget what can be read again from the database. Events that are queued cannot.
    fn forget_stored(&mut self) {
        let queued = self.lineage.iter().skip(1);
        self.known.retain_events(|nid| queued.clone().any(|queued| *queued == Some(nid)));
        self.create = None;
        self.levels = None;
    }

    /// Whether events are queued that are not stored yet.
    pub(crate) fn has_queued(&self) -> bool {
        self.lineage.len() > 1
    }

    /// Whether a redaction of the event is queued.
    pub(crate) fn is_redacted(&self, nid: EventNid) -> bool {
        self.redactions.iter().any(|one| one.redacted == nid)
    }

    /// Events were queued, in this order: each will be the newest of the stored head for a time.
    pub(crate) fn advance(&mut self, head: RoomHead, queued: Vec<EventNid>) {
        self.lineage.extend(queued.into_iter().map(Some));
        self.head = head;
    }
}
