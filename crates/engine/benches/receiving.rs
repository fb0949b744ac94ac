//! The cost of receiving events of other servers, in small rooms and in large ones: in a line, in forks, and after a gap.
//!
//! `DATABASE_URL=postgres://.. cargo bench -p myelin-engine`; a database is made for it, and dropped. A word behind `--` picks the cases
//! that have it in their name. What ruma takes to resolve forks of these sizes, `cargo bench -p myelin-events --bench resolution` says.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a bench that cannot go on should stop"
)]

mod large;
mod measure;

use large::LargeRoom;
use measure::{Figures, Latencies};
use myelin_events::received::Received;

/// The state events of the rooms, half of which are members.
const STATE: [usize; 2] = [100, 100_000];

/// Events to be received, made anew for each round.
struct Case {
    name: &'static str,
    rounds: usize,
    make: fn(&LargeRoom) -> Vec<Received>,
}

const CASES: [Case; 5] = [
    Case { name: "100 messages in a line", rounds: 10, make: |room| room.line(100) },
    Case { name: "state in 10 ways", rounds: 10, make: |room| room.fork(10) },
    Case { name: "state in 100 ways, joined by tens", rounds: 3, make: |room| room.fork(100) },
    Case {
        name: "1,000 messages after a gap",
        rounds: 3,
        make: |room| room.missed(1_000, usize::MAX),
    },
    Case {
        name: "1,000 events after a gap, 100 state",
        rounds: 3,
        make: |room| room.missed(1_000, 10),
    },
];

fn main() {
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    println!(
        "| received | state events | events/s | thread ms | peak MB | beside p50 ms | p99 | max |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---:|");
    for state in STATE {
        let room = LargeRoom::of(state);
        println!("| nothing | {state} | | | | {} |", Latencies::of(room, &[]));
        for case in CASES {
            if wanted.as_ref().is_none_or(|wanted| case.name.contains(wanted.as_str())) {
                let rounds = (0..case.rounds).map(|_| Figures::of(room, &(case.make)(room)));
                let figures = Figures::median(rounds.collect());
                let beside = Latencies::of(room, &(case.make)(room));
                println!("| {} | {state} | {figures} | {beside} |", case.name);
            }
        }
    }
    large::drop_database();
}
