//! State resolution of random rooms with forks.

use std::collections::BTreeSet;

use myelin_events::RoomVersion;
use serde::Deserialize;

use super::{Differences, Short, ShortRoom, lines};
use crate::room::{Room, State};

#[derive(Deserialize)]
struct Case {
    version: RoomVersion,
    events: Vec<Short>,
    /// The ID of the last event: if it is right, all are.
    last: ruma::OwnedEventId,
    /// Events, and those that are the state after all of them, by their places.
    resolved: Vec<(Vec<usize>, BTreeSet<usize>)>,
}

#[test]
fn forks_resolve_as_in_synapse() {
    let mut differences = Differences::default();
    for case in lines::<Case>("graphs") {
        let short = ShortRoom::new(case.version, &case.events);
        assert_eq!(short.events.last().unwrap().event_id, case.last);
        let mut room = Room::new(case.version);
        for event in &short.events {
            let state = room.state_after(&event.prev_events);
            differences.compare(room.check(&state, event).is_ok(), true, false, || {
                format!("{}: {}", case.version, event.json())
            });
            room.push(event.clone(), state);
        }
        for (tips, expect) in &case.resolved {
            let ids: Vec<_> = tips.iter().map(|place| short.id(*place)).collect();
            let state: State = room.state_after(&ids);
            let ours: BTreeSet<usize> = state.values().map(|place| *place as usize).collect();
            differences.compare(&ours, expect, false, || {
                format!("version {}, after {tips:?} of {:?}", case.version, case.events)
            });
        }
    }
    differences.finish(10_000);
}
