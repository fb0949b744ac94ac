//! The time that it takes to write and read packed states, and to find full conflicted sets with the index.
//!
//! `cargo bench -p myelin-storage`
#![allow(clippy::unwrap_used, reason = "a bench that cannot go on should stop")]

#[path = "../../events/benches/fixture/mod.rs"]
mod fixture;
mod stored;

use divan::{Bencher, black_box};
use fixture::fork::{Fork, SIZES, Size};
use myelin_storage::{SnapshotChain, StateMap};
use stored::{Indexed, changes, state, write_whole};

const ENTRIES: [usize; 3] = [100, 10_000, 100_000];

fn main() {
    divan::main();
}

#[divan::bench(args = ENTRIES)]
fn write_a_whole_state(bencher: Bencher<'_, '_>, entries: usize) {
    let state = state(entries);
    bencher.bench(|| write_whole(black_box(&state)));
}

#[divan::bench(args = ENTRIES)]
fn read_a_whole_state(bencher: Bencher<'_, '_>, entries: usize) {
    let state = state(entries);
    let (snapshot, _) = write_whole(&state);
    bencher.bench(|| {
        let mut read = StateMap::new();
        black_box(&snapshot).apply(&mut read).unwrap();
        read
    });
}

/// A change of one key, of a room that has had some: what each state event writes.
#[divan::bench(args = ENTRIES)]
fn write_a_change(bencher: Bencher<'_, '_>, entries: usize) {
    let mut state = state(entries);
    let (_, mut chain) = write_whole(&state);
    for (nid, change) in changes() {
        state.insert(change.0, change.1.unwrap());
        chain.extend(nid, &[change], &state);
    }
    let (nid, change) = changes().next().unwrap();
    bencher
        .with_inputs(|| chain.clone())
        .bench_values(|mut chain: SnapshotChain| chain.extend(nid, &[change], &state));
}

#[divan::bench(args = SIZES, sample_count = 20, sample_size = 1)]
fn conflict_by_index(bencher: Bencher<'_, '_>, size: Size) {
    let fork = Indexed::new(Fork::of(size));
    bencher.bench_local(|| fork.others());
}

/// All that a fork costs whose states and index are in memory.
#[divan::bench(args = SIZES, sample_count = 20, sample_size = 1)]
fn resolve_by_index(bencher: Bencher<'_, '_>, size: Size) {
    let fork = Indexed::new(Fork::of(size));
    bencher.bench_local(|| fork.resolve());
}
