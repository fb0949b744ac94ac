//! The hot paths of states, counted: see docs/testing.md, "Budgets".
#![allow(clippy::unwrap_used, reason = "a bench that cannot go on should stop")]

#[path = "../../events/benches/fixture/mod.rs"]
mod fixture;
mod stored;

use std::hint::black_box;

use fixture::{
    counted::{self, Case, keep},
    fork::{Fork, Size},
};
use myelin_storage::StateMap;
use stored::{Indexed, changes, state, write_whole};

const ENTRIES: usize = 1_000;

const CASES: &[Case] = &[
    ("storage.write_a_state_of_1000", || {
        let state = state(ENTRIES);
        Box::new(move || keep(write_whole(black_box(&state))))
    }),
    ("storage.read_a_state_of_1000", || {
        let (snapshot, _) = write_whole(&state(ENTRIES));
        Box::new(move || {
            let mut read = StateMap::new();
            black_box(&snapshot).apply(&mut read).unwrap();
            keep(read);
        })
    }),
    ("storage.write_58_changes", || {
        let mut state = state(ENTRIES);
        let (_, chain) = write_whole(&state);
        for (_, (key, event)) in changes() {
            state.insert(key, event.unwrap());
        }
        Box::new(move || {
            let mut chain = chain.clone();
            for (nid, change) in changes() {
                keep(chain.extend(nid, &[change], &state));
            }
        })
    }),
    ("storage.conflict_of_10_ways", || {
        let fork = Indexed::new(Fork::of(Size { ways: 10, state: 1_000 }));
        Box::new(move || keep(fork.others()))
    }),
];

fn main() {
    counted::run(CASES);
}
