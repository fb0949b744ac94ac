//! The states after rejected events that are known without one.
//!
//! What the events that it cites do not allow is rejected without a look at the state before it: anybody may send such events, in any
//! number. That state counts only where somebody follows one, and is found then.

use std::collections::{BTreeSet, HashMap};

use myelin_events::Pdu;
use myelin_model::{EventFlags, EventNid, StateNid};
use myelin_storage::{GraphEvent, StateMap, StorageError};
use ruma::{EventId, OwnedEventId};

use super::{
    Missing,
    before::{Before, NoState},
};
use crate::{Draft, EventError};

/// The number of rejected events without a state that are passed on the way back from one event.
const PASSED_MAX: usize = 1_000;

/// A rejected event on the way, with the events before it.
struct Passed {
    nid: EventNid,
    before: Vec<GraphEvent>,
}

/// Whether of the state before an event a part alone is known.
pub(super) fn is_undecided(event: &GraphEvent) -> bool {
    event.pos.is_some() && event.flags.contains(EventFlags::PARTIAL)
}

/// Whether an event is rejected, and was kept without the state at it.
pub(super) fn is_without_state(event: &GraphEvent) -> bool {
    event.pos.is_some() && event.flags.contains(EventFlags::REJECTED) && event.state_after.is_none()
}

impl Draft {
    /// The states after rejected events that were kept without one: those before them, as they take no effect.
    pub(super) async fn states_passed(
        &self,
        rejected: &[GraphEvent],
    ) -> Result<Result<Vec<StateMap>, NoState>, EventError> {
        if rejected.is_empty() {
            return Ok(Ok(Vec::new()));
        }
        let mut open = match self.pass(rejected).await? {
            Ok(passed) => passed,
            Err(reason) => return Ok(Err(reason)),
        };
        let mut states: HashMap<EventNid, StateMap> = HashMap::new();
        // The oldest ones stand last for the most part.
        open.reverse();
        while !open.is_empty() {
            let is_ready = |passed: &Passed| {
                let mut without = passed.before.iter().filter(|event| is_without_state(event));
                without.all(|event| states.contains_key(&event.nid))
            };
            let (ready, waiting): (Vec<_>, Vec<_>) = open.into_iter().partition(is_ready);
            if ready.is_empty() {
                // Events in a circle, which old event formats do not rule out.
                return Ok(Err(NoState::TooFar));
            }
            for passed in ready {
                let state = self.state_between(&passed, &states).await?;
                states.insert(passed.nid, state);
            }
            open = waiting;
        }
        let state = |event: &GraphEvent| states.get(&event.nid).cloned();
        Ok(Ok(rejected.iter().filter_map(state).collect()))
    }

    /// The state before a rejected event.
    async fn state_between(
        &self,
        passed: &Passed,
        states: &HashMap<EventNid, StateMap>,
    ) -> Result<StateMap, EventError> {
        let with_state = passed.before.iter().filter(|event| !is_without_state(event));
        let nids: BTreeSet<Option<StateNid>> = with_state.map(|event| event.state_after).collect();
        let others = passed.before.iter().filter(|event| is_without_state(event));
        let others = others.filter_map(|event| states.get(&event.nid).cloned()).collect();
        Ok(match self.combine(nids, others).await? {
            Before::Current => self.head.state.clone(),
            Before::Other(other) => other.state,
        })
    }

    /// Go back from rejected events to those that have a state.
    async fn pass(
        &self,
        rejected: &[GraphEvent],
    ) -> Result<Result<Vec<Passed>, NoState>, EventError> {
        let mut passed: Vec<Passed> = Vec::new();
        let mut open: Vec<EventNid> = rejected.iter().map(|event| event.nid).collect();
        while !open.is_empty() {
            if passed.len() + open.len() > PASSED_MAX {
                return Ok(Err(NoState::TooFar));
            }
            let before = self.before_of(&open).await?;
            let ids: BTreeSet<&EventId> = before.values().flatten().map(|id| &**id).collect();
            let ids: Vec<&EventId> = ids.into_iter().collect();
            let known = self.engine.db().graph().find_many(&ids).await?;
            let has = |id: &EventId| known.get(id).is_some_and(|event| event.pos.is_some());
            let missing: Vec<OwnedEventId> =
                ids.iter().filter(|id| !has(id)).map(|id| (*id).to_owned()).collect();
            if !missing.is_empty() {
                let missing = Missing { prev_events: missing, ..Missing::default() };
                return Ok(Err(NoState::Missing(missing)));
            }
            if known.values().any(is_undecided) {
                return Ok(Err(NoState::Partial));
            }
            for (nid, ids) in before {
                let before = ids.iter().filter_map(|id| known.get(id).cloned()).collect();
                passed.push(Passed { nid, before });
            }
            let next = known.values().filter(|event| is_without_state(event));
            let next: BTreeSet<EventNid> = next.map(|event| event.nid).collect();
            open =
                next.into_iter().filter(|nid| passed.iter().all(|one| one.nid != *nid)).collect();
        }
        Ok(Ok(passed))
    }

    /// The IDs of the events before stored ones.
    async fn before_of(
        &self,
        nids: &[EventNid],
    ) -> Result<HashMap<EventNid, Box<[OwnedEventId]>>, EventError> {
        let stored = self.engine.db().events().find_many(nids).await?;
        let before = |nid: &EventNid| {
            let event = stored.get(nid).ok_or(EventError::NotLoaded)?;
            let pdu = Pdu::from_stored(event.event_id.clone(), event.json.clone(), self.version)
                .map_err(StorageError::foreign("events.json"))?;
            Ok((*nid, pdu.prev_events))
        };
        nids.iter().map(before).collect()
    }
}
