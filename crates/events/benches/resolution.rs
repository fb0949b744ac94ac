//! The time that it takes to resolve a fork, beside ruma, which must give the same state.
//!
//! `cargo bench -p myelin-events --bench resolution`. The largest cases of ruma take gigabytes; `-- --skip ruma` leaves
//! them out.
#![allow(clippy::unwrap_used, reason = "a bench that cannot go on should stop")]

mod fixture;

use divan::{Bencher, black_box};
use fixture::{
    fork::{Fork, SIZES, Size},
    ruma_twin::Prepared,
};
use myelin_events::resolve::Conflict;

fn main() {
    divan::main();
}

/// States that share what is the same, as states in memory do. The full conflicted set is known, as ruma knows the chains.
#[divan::bench(args = SIZES, sample_count = 20, sample_size = 1)]
fn resolve_in_memory(bencher: Bencher<'_, '_>, size: Size) {
    let fork = Fork::of(size);
    bencher.bench_local(|| fork.resolve_indexed(black_box(&fork.states)));
}

/// States that were read one by one.
#[divan::bench(args = SIZES, sample_count = 20, sample_size = 1)]
fn resolve_apart(bencher: Bencher<'_, '_>, size: Size) {
    let fork = Fork::of(size);
    let states = fork.apart();
    bencher.bench_local(|| fork.resolve_indexed(black_box(&states)));
}

/// Resolve without an index of auth chains.
#[divan::bench(args = SIZES, sample_count = 20, sample_size = 1)]
fn resolve_walking(bencher: Bencher<'_, '_>, size: Size) {
    let fork = Fork::of(size);
    bencher.bench_local(|| fork.resolve());
}

/// The full conflicted set alone, by walking.
#[divan::bench(args = SIZES, sample_count = 20, sample_size = 1)]
fn walk_the_conflict(bencher: Bencher<'_, '_>, size: Size) {
    let fork = Fork::of(size);
    let conflict = Conflict::split(fork.version, &fork.states);
    bencher.bench_local(|| conflict.walk(fork.version, &fork.room));
}

/// Maps, auth chains, the conflicted state subgraph and the events themselves are made beforehand.
#[divan::bench(args = SIZES, sample_count = 3, sample_size = 1)]
fn ruma(bencher: Bencher<'_, '_>, size: Size) {
    let fork = Fork::of(size);
    let prepared = Prepared::new(&fork.room, &fork.states);
    for ours in [fork.resolve(), fork.resolve_indexed(&fork.apart())] {
        assert!(prepared.resolve().unwrap() == fork.room.names(&ours), "{size}: the states differ");
    }
    bencher
        .with_inputs(|| prepared.chains())
        .bench_local_values(|chains| prepared.resolve_maps(chains));
}
