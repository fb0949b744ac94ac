//! The time that it takes to receive events of other servers: in a line, in forks, and after a gap, in small rooms and in large ones.
//!
//! `DATABASE_URL=postgres://.. cargo bench -p myelin-engine`; a database is made for it, and dropped. What ruma takes to resolve forks of
//! these sizes, `cargo bench -p myelin-events --bench resolution` says.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a bench that cannot go on should stop"
)]

mod large;

use divan::{Bencher, counter::ItemsCount};
use large::{LargeRoom, Shape};

#[global_allocator]
static ALLOCATOR: divan::AllocProfiler = divan::AllocProfiler::system();

const STATE: [usize; 2] = [100, 100_000];

const FORKS: [Shape; 4] = [
    Shape { ways: 10, state: 100 },
    Shape { ways: 100, state: 100 },
    Shape { ways: 10, state: 100_000 },
    Shape { ways: 100, state: 100_000 },
];

/// The events of a line.
const LINE: usize = 100;

/// The events that come after a gap.
const MISSED: usize = 1_000;

fn main() {
    divan::main();
    large::drop_database();
}

/// Messages, each of which follows the one before it.
#[divan::bench(args = STATE, sample_count = 10, sample_size = 1)]
fn in_a_line(bencher: Bencher<'_, '_>, state: usize) {
    let room = LargeRoom::of(state);
    bencher
        .counter(ItemsCount::new(LINE))
        .with_inputs(|| room.line(LINE))
        .bench_local_values(|events| room.receive(&events));
}

/// State side by side, upon one event.
#[divan::bench(args = FORKS, sample_count = 5, sample_size = 1)]
fn in_a_fork(bencher: Bencher<'_, '_>, shape: Shape) {
    let room = LargeRoom::of(shape.state);
    bencher
        .counter(ItemsCount::new(shape.ways))
        .with_inputs(|| room.fork(shape.ways))
        .bench_local_values(|events| room.receive(&events));
}

/// Messages in a line that begins beside a change of the state.
#[divan::bench(args = STATE, sample_count = 3, sample_size = 1)]
fn after_a_gap(bencher: Bencher<'_, '_>, state: usize) {
    let room = LargeRoom::of(state);
    bencher
        .counter(ItemsCount::new(MISSED))
        .with_inputs(|| room.missed(MISSED))
        .bench_local_values(|events| room.receive(&events));
}
