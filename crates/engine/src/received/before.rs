//! The state before a received event: it follows from the events before it.

use std::collections::BTreeSet;

use myelin_events::{Pdu, auth::AuthError};
use myelin_model::{EventFlags, StateNid};
use myelin_storage::{NewSnapshot, SnapshotChain, StateMap, state_changes};
use ruma::EventId;

use super::{
    Missing, StateAt, known_state,
    look_up::Found,
    passed::{is_undecided, is_without_state},
};
use crate::{Draft, EventError, known::Known};

/// The state before an event.
pub(super) enum Before {
    /// The room's current one.
    Current,
    /// Another one.
    Other(OtherState),
}

/// A state that is not the room's current one.
#[derive(Default)]
pub(super) struct OtherState {
    pub(super) state: StateMap,
    /// The place of it among the snapshots.
    pub(super) chain: SnapshotChain,
    /// Its snapshot, if that is not stored yet.
    pub(super) snapshots: Vec<NewSnapshot>,
    /// The part of it that decides on the event.
    pub(super) known: Known,
    /// Whether another server told a part of it: the current state does not have that yet.
    pub(super) is_told: bool,
}

/// The reason why there is no state before an event.
pub(super) enum NoState {
    /// Something must be fetched first.
    Missing(Missing),
    /// The event follows one of another room.
    OtherRoom,
    /// The event follows more rejected events than are passed.
    TooFar,
    /// A part of it alone is known.
    Partial,
    /// The event is part of no history.
    Outlier,
}

impl Draft {
    /// The state before an event.
    pub(super) async fn find_before(
        &self,
        pdu: &Pdu,
        found: Option<&Found>,
        told: &[StateAt],
    ) -> Result<Result<Before, NoState>, EventError> {
        let Some(found) = found else { return Ok(Ok(Before::Current)) };
        let mut nids: BTreeSet<Option<StateNid>> = BTreeSet::new();
        let (mut missing, mut states_told) = (Missing::default(), Vec::new());
        let (mut rejected, mut is_partial) = (Vec::new(), false);
        for id in &pdu.prev_events {
            let state_at = told.iter().find(|one| one.event_id == *id);
            match (found.events.get(id), state_at) {
                (Some(event), _) if event.room_nid != self.room_nid() => {
                    return Ok(Err(NoState::OtherRoom));
                }
                (Some(event), None) if is_undecided(event) => is_partial = true,
                (Some(event), None) if is_without_state(event) => rejected.push(event.clone()),
                (Some(event), _) if event.pos.is_some() && !is_without_state(event) => {
                    nids.insert(event.state_after);
                }
                (_, Some(state_at)) => {
                    is_partial |= state_at.is_partial;
                    match self.read_told(state_at).await? {
                        Ok(state) => states_told.push(state),
                        Err(unknown) => missing.auth_events.extend(unknown.auth_events),
                    }
                }
                (_, None) if missing.prev_events.contains(id) => {}
                (_, None) => missing.prev_events.push(id.clone()),
            }
        }
        if missing != Missing::default() {
            return Ok(Err(NoState::Missing(missing)));
        }
        if is_partial {
            return Ok(Err(NoState::Partial));
        }
        let is_told = !states_told.is_empty();
        match self.states_passed(&rejected).await? {
            Ok(states) => states_told.extend(states),
            Err(reason) => return Ok(Err(reason)),
        }
        let ends = self.states_of_ends(Some(found)).filter(|_| states_told.is_empty());
        let ends = ends.map(|ends| ends.into_iter().map(Some).collect());
        // The current state has been found from the very same ones.
        let mut before = match ends == Some(nids.clone()) {
            true => Before::Current,
            false => self.combine(nids, states_told).await?,
        };
        if let Before::Other(other) = &mut before {
            other.is_told = is_told;
        }
        Ok(Ok(before))
    }

    /// The state that follows from stored ones and such as were told.
    pub(super) async fn combine(
        &self,
        nids: BTreeSet<Option<StateNid>>,
        told: Vec<StateMap>,
    ) -> Result<Before, EventError> {
        let current = self.head.chain.state_nid();
        if told.is_empty() && nids.len() == 1 && nids.contains(&current) {
            return Ok(Before::Current);
        }
        if told.is_empty() && nids.iter().all(Option::is_none) {
            return Ok(Before::Other(OtherState::default()));
        }
        let stored: Vec<StateNid> = nids.iter().flatten().copied().collect();
        let chains = self.engine.db().states().list_chains(&stored).await?;
        let mut bases: Vec<(StateMap, SnapshotChain)> = Vec::with_capacity(nids.len() + 1);
        for nid in &nids {
            bases.push(match nid {
                Some(nid) => chains.get(nid).cloned().ok_or(EventError::NotLoaded)?,
                None => Default::default(),
            });
        }
        let mut states: Vec<StateMap> = bases.iter().map(|(state, _)| state.clone()).collect();
        states.extend(told);
        let state = match &*states {
            [] => StateMap::new(),
            [state] => state.clone(),
            _ => self.engine.resolve(&self.head, states, None).await?,
        };
        if is_same(&state, &self.head.state) {
            return Ok(Before::Current);
        }
        if let Some((_, chain)) = bases.iter().find(|(base, _)| is_same(base, &state)) {
            return Ok(Before::Other(OtherState {
                chain: chain.clone(),
                state,
                ..Default::default()
            }));
        }
        let (base, mut chain) = bases
            .into_iter()
            .next()
            .unwrap_or_else(|| (self.head.state.clone(), self.head.chain.clone()));
        let nid = self.engine.db().nids().next_state().await?;
        let snapshots = vec![chain.extend(nid, &state_changes(&base, &state), &state)];
        Ok(Before::Other(OtherState { state, chain, snapshots, ..Default::default() }))
    }

    /// A state that another server told. Only state of this room that was not rejected counts.
    async fn read_told(&self, told: &StateAt) -> Result<Result<StateMap, Missing>, EventError> {
        let ids: Vec<&EventId> = told.state.iter().map(|id| &**id).collect();
        let events = self.engine.db().graph().find_many(&ids).await?;
        let unknown: Vec<_> =
            told.state.iter().filter(|id| !events.contains_key(*id)).cloned().collect();
        if !unknown.is_empty() {
            return Ok(Err(Missing { auth_events: unknown, ..Missing::default() }));
        }
        let mut state = StateMap::new();
        for event in told.state.iter().filter_map(|id| events.get(id)) {
            let counts =
                event.room_nid == self.room_nid() && !event.flags.contains(EventFlags::REJECTED);
            if let Some(key) = event.state_key_nid.filter(|_| counts) {
                // Whoever is told the same keeps the same, even of what contradicts itself.
                state.insert(key, event.nid);
            }
        }
        Ok(Ok(state))
    }

    /// Check an event against the state before it.
    pub(super) async fn check_before(
        &mut self,
        pdu: &Pdu,
        before: &mut Before,
    ) -> Result<Result<(), AuthError>, EventError> {
        let Before::Other(other) = before else { return self.check_current(pdu).await };
        let wanted = known_state::wanted(pdu);
        other.known = known_state::load(&self.engine, self.version, &other.state, &wanted).await?;
        known_state::check(pdu, &other.known)
    }

    /// Check an event that its own state allows against the current state. What another server told of the state before it counts
    /// there, too: it is of events that the room does not have.
    pub(super) async fn check_now(
        &mut self,
        pdu: &Pdu,
        before: &Before,
    ) -> Result<Result<(), AuthError>, EventError> {
        let other = match before {
            Before::Current => return Ok(Ok(())),
            Before::Other(other) if !other.is_told => return self.check_current(pdu).await,
            Before::Other(other) => other,
        };
        let states = vec![self.head.state.clone(), other.state.clone()];
        let state = self.engine.resolve(&self.head, states, None).await?;
        let wanted = known_state::wanted(pdu);
        let known = known_state::load(&self.engine, self.version, &state, &wanted).await?;
        known_state::check(pdu, &known)
    }

    /// Check an event against the current state.
    async fn check_current(&mut self, pdu: &Pdu) -> Result<Result<(), AuthError>, EventError> {
        let wanted = known_state::wanted(pdu);
        let wanted: Vec<(&str, &str)> =
            wanted.iter().map(|(kind, key)| (*kind, key.as_str())).collect();
        self.load(&wanted).await?;
        match self.check_auth(pdu) {
            Ok(()) => Ok(Ok(())),
            Err(EventError::Forbidden(error)) => Ok(Err(error)),
            Err(error) => Err(error),
        }
    }
}

/// Whether two states are the same. States that were made of each other are compared in the time that their differences take.
pub(super) fn is_same(one: &StateMap, other: &StateMap) -> bool {
    one.diff(other).next().is_none()
}
