//! The data that the benches of storage work on: states, and the chain cover of a forked room.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    dead_code,
    reason = "a bench that cannot go on should stop, and no bench uses all"
)]

use std::collections::HashSet;

use myelin_events::resolve::Conflict;
use myelin_model::{EventNid, StateKeyNid, StateNid};
use myelin_storage::{AuthChainIndex, ChainCover, NewSnapshot, SnapshotChain, StateMap};

use crate::fixture::{fork::Fork, room::State};

/// The state of a room with so many entries, whose numbers were given out as rooms give them out: with gaps.
pub fn state(entries: usize) -> StateMap {
    let entries = i64::try_from(entries).unwrap();
    (0..entries).map(|n| (StateKeyNid(5_000 + n), EventNid(80_000 + n * 3 + n % 7))).collect()
}

/// The state's first snapshot, and the chain that it begins.
pub fn write_whole(state: &StateMap) -> (NewSnapshot, SnapshotChain) {
    let mut chain = SnapshotChain::default();
    (chain.extend(StateNid(1), &[], state), chain)
}

/// One change after the other.
pub fn changes() -> impl Iterator<Item = (StateNid, (StateKeyNid, Option<EventNid>))> {
    (2..60).map(|n| (StateNid(n), (StateKeyNid(5_000 + n), Some(EventNid(900_000 + n)))))
}

/// A forked room with its chain cover.
pub struct Indexed {
    pub fork: &'static Fork,
    index: AuthChainIndex,
}

fn nid(number: u32) -> EventNid {
    EventNid(number.into())
}

impl Indexed {
    pub fn new(fork: &'static Fork) -> Self {
        let (mut index, mut cover) = (AuthChainIndex::default(), ChainCover::default());
        for (number, event) in fork.room.events.iter().enumerate() {
            let cited: Vec<EventNid> =
                event.auth_events.iter().map(|id| nid(fork.room.numbers[id])).collect();
            let covered = cover.add(nid(u32::try_from(number).unwrap()), &cited);
            index.add(covered.place, &covered.links);
        }
        let indexed = Self { fork, index };
        assert_eq!(indexed.others(), fork.others, "the index says what walking says");
        indexed
    }

    /// The full conflicted set but for the conflicted events, sorted.
    pub fn others(&self) -> Vec<u32> {
        let conflict = Conflict::split(self.fork.version, &self.fork.states);
        self.others_of(&conflict)
    }

    fn others_of(&self, conflict: &Conflict<u32, u32>) -> Vec<u32> {
        let conflicted: HashSet<EventNid> =
            conflict.conflicted.values().flatten().copied().map(nid).collect();
        let own: Vec<Vec<EventNid>> = conflict
            .conflicted_by_state
            .iter()
            .map(|events| events.iter().copied().map(nid).collect())
            .collect();
        let cited = conflict.conflicted.values().flatten().flat_map(|id| self.fork.cited(*id));
        let near = cited.filter_map(|id| conflict.unconflicted.get(&self.fork.key_of(id)));
        let near: Vec<EventNid> = near.copied().map(nid).collect();
        let mut others = self.index.difference(
            &own,
            &conflicted,
            &near,
            conflict.unconflicted.values().copied().map(nid),
        );
        others.extend(self.index.paths(own.into_iter().flatten(), conflicted.iter().copied()));
        others.retain(|id| !conflicted.contains(id));
        let mut others: Vec<u32> =
            others.into_iter().map(|nid| u32::try_from(nid.0).unwrap()).collect();
        others.sort_unstable();
        others
    }

    /// The state that follows.
    pub fn resolve(&self) -> State {
        let conflict = Conflict::split(self.fork.version, &self.fork.states);
        let others = self.others_of(&conflict);
        conflict.resolve(self.fork.version, &self.fork.room, others)
    }
}
