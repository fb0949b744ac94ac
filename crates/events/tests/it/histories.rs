//! Events in any order of arrival give the same state, and ruma gives it too.

use myelin_events::{RoomVersion, resolve::Conflict};
use proptest::{prelude::*, strategy::ValueTree as _};
use ruma::OwnedEventId;

use crate::{
    history::{History, Step},
    room::Room,
    ruma_twin,
};

/// Receive the events of a room in another order: any event whose previous events are there may come next.
fn replay(history: &Room, seed: u64) -> Room {
    let mut room = Room::new(history.version);
    let mut left = history.events.clone();
    let mut seed = seed;
    while !left.is_empty() {
        let ready: Vec<usize> = (0..left.len())
            .filter(|place| {
                left[*place]
                    .prev_events
                    .iter()
                    .chain(&left[*place].auth_events)
                    .all(|id| room.numbers.contains_key(id))
            })
            .collect();
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let event = left.remove(ready[usize::try_from(seed >> 33).unwrap() % ready.len()]);
        let mut prev_events = event.prev_events.to_vec();
        if seed & 1 == 0 {
            prev_events.reverse();
        }
        let state = room.state_after(&prev_events);
        room.check(&state, &event).expect("allowed there, so allowed here");
        room.push(event, state);
    }
    room
}

fn check(version: RoomVersion, steps: &[Step], seed: u64) {
    let mut history = History::new(version);
    for step in steps {
        history.step(*step);
    }
    let mut ends: Vec<OwnedEventId> = history.extremities();
    // All states on the way count too, not only the last.
    let latest: Vec<_> =
        history.room.events.iter().rev().take(8).map(|event| event.event_id.clone()).collect();
    let asks_ruma = ruma_twin::covers(version) && ruma_twin::compares_levels_alike(&history.room);
    for pair in latest.chunks(2).chain(latest.chunks(3)).chain([ends.as_slice()]) {
        let ours = history.room.names(&history.room.state_after(pair));
        let states: Vec<_> = pair
            .iter()
            .map(|id| history.room.states_after[history.room.numbers[id] as usize].clone())
            .collect();
        if asks_ruma {
            assert_eq!(
                Some(&ours),
                ruma_twin::resolve(&history.room, &states).as_ref(),
                "version {version}"
            );
        }
    }
    let state = history.room.names(&history.room.state_after(&ends));
    for order in [seed, !seed] {
        let other = replay(&history.room, order);
        ends.reverse();
        assert_eq!(state, other.names(&other.state_after(&ends)), "version {version}");
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = any::<[u8; 6]>().prop_map(|[who, what, whom, value, upon, when]| Step {
        who,
        what,
        whom,
        value,
        upon,
        when,
    });
    prop::collection::vec(step, 10..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_order_gives_one_state(version in prop::sample::select(&RoomVersion::ALL[..]), steps in steps(), seed in any::<u64>()) {
        check(version, &steps, seed);
    }
}

/// The histories are worth resolving: many merges are in conflict, and the outcome is often neither side's state.
#[test]
fn histories_fork_and_conflict() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut merges, mut conflicts, mut neither, mut refused) = (0, 0, 0, 0);
    for number in 0..60 {
        let steps = steps().new_tree(&mut runner).unwrap().current();
        let mut history = History::new(RoomVersion::ALL[number % 12]);
        for step in &steps {
            let before = history.room.events.len();
            history.step(*step);
            refused += usize::from(history.room.events.len() == before);
        }
        let room = &history.room;
        for (event, after) in room.events.iter().zip(&room.states_after) {
            let [one, two] = &event.prev_events[..] else { continue };
            let states: Vec<_> =
                [one, two].map(|id| room.states_after[room.numbers[id] as usize].clone()).into();
            merges += 1;
            conflicts += usize::from(!Conflict::split(room.version, &states).is_empty());
            let merged = room.state_after(&event.prev_events);
            neither += usize::from(!states.contains(&merged));
            assert!(after.len() >= merged.len());
        }
    }
    println!(
        "{merges} merges, {conflicts} in conflict, {neither} with a new outcome, {refused} events refused"
    );
    assert!(conflicts > 100 && neither > 50 && refused > 100);
}
