//! The growth of a room by an event that is added to its history: its forward extremities, and the state that follows
//! from them.

use std::collections::{BTreeSet, HashMap};

use myelin_events::Pdu;
use myelin_model::{
    EventFlags, EventNid, Membership, StateKeyNid, StateNid, limits::PREV_EVENTS_MAX,
};
use myelin_storage::{Extremity, SnapshotChain, StateMap, state_changes, writer::MembershipChange};
use ruma::OwnedUserId;

use super::{
    before::is_same,
    look_up::Found,
    place::{Around, Arriving},
};
use crate::{Draft, EventError};

impl Draft {
    /// Make an event part of the head. Gives the event's flags.
    pub(super) async fn grow(
        &mut self,
        arriving: &Arriving<'_>,
        around: &Around,
    ) -> Result<EventFlags, EventError> {
        let pdu = &arriving.received.pdu;
        let extremities = self.extremities_after(arriving);
        let (state, chain) = self.state_after(arriving, around, &extremities).await?;
        let is_alone = matches!(&extremities[..], [only] if only.nid == arriving.nid);
        let built_on = self.head.chain.state_nid();
        let is_linear = is_alone
            && around.before.state_nid() == built_on
            && chain.state_nid() == around.after.state_nid();
        let is_beside = arriving.key.is_none()
            && chain.state_nid() == built_on
            && extremities == self.extremities_seen(pdu, arriving.nid);
        let flags = match (is_linear, is_beside) {
            (true, _) => EventFlags::LINEAR,
            (false, _) if self.is_branched(around, &state).await? => {
                EventFlags::RESOLVED.with(EventFlags::BRANCHED)
            }
            (false, true) => EventFlags::NONE,
            (false, false) => EventFlags::RESOLVED,
        };
        self.note_changes(arriving, &state).await?;
        self.head.extremities = extremities;
        self.head.state = state;
        self.head.chain = chain;
        self.head.depth = self.head.depth.max(pdu.depth);
        self.head.newest = Some(arriving.nid);
        Ok(flags)
    }

    /// Whether the event does not stand on the line of the room's current states, as far as they decide who sees it: the state before it
    /// is another than the room's, or the room's state becomes another than that after it.
    async fn is_branched(&self, around: &Around, state: &StateMap) -> Result<bool, EventError> {
        let mut keys: Vec<StateKeyNid> = Vec::new();
        for (one, other) in [(&self.head.state, &around.state_before), (&around.state_after, state)]
        {
            keys.extend(state_changes(one, other).into_iter().map(|(key, _)| key));
        }
        let names = self.engine.db().state_keys().list(&keys).await?;
        let decides = |key: &StateKeyNid| {
            // What is not known may decide.
            names.get(key).is_none_or(|name| {
                matches!(&*name.event_type, "m.room.member" | "m.room.history_visibility")
            })
        };
        Ok(keys.iter().any(decides))
    }

    /// The forward extremities after an event: it, unless others follow it already, and those that it does not follow. Where there are
    /// as many as an event can follow, it is none: its branch counts again when somebody follows it and them.
    fn extremities_after(&self, arriving: &Arriving<'_>) -> Vec<Extremity> {
        let pdu = &arriving.received.pdu;
        let Some(found) = &arriving.found else {
            return self.extremities_seen(pdu, arriving.nid);
        };
        let mut extremities = self.head.extremities.clone();
        extremities.retain(|extremity| !found.followed.contains(&extremity.event_id));
        let is_end = !found.traces.is_followed && extremities.len() < PREV_EVENTS_MAX;
        if is_end || extremities.is_empty() {
            extremities.push(Extremity { nid: arriving.nid, event_id: pdu.event_id.clone() });
        }
        extremities
    }

    /// The forward extremities as those who only see the event take them to be.
    fn extremities_seen(&self, pdu: &Pdu, nid: EventNid) -> Vec<Extremity> {
        let mut extremities = self.head.extremities.clone();
        extremities.retain(|extremity| !pdu.prev_events.contains(&extremity.event_id));
        extremities.push(Extremity { nid, event_id: pdu.event_id.clone() });
        extremities
    }

    /// The state that follows from the forward extremities, and where it stands among the snapshots.
    async fn state_after(
        &mut self,
        arriving: &Arriving<'_>,
        around: &Around,
        extremities: &[Extremity],
    ) -> Result<(StateMap, SnapshotChain), EventError> {
        let own = around.after.state_nid();
        let others = extremities.iter().filter(|extremity| extremity.nid != arriving.nid);
        let mut nids: BTreeSet<StateNid> = BTreeSet::new();
        for extremity in others {
            nids.insert(self.state_of(extremity, arriving.found.as_ref())?);
        }
        if nids.iter().all(|nid| Some(*nid) == own) {
            return Ok((around.state_after.clone(), around.after.clone()));
        }
        let counts = extremities.iter().any(|extremity| extremity.nid == arriving.nid)
            || own.is_some_and(|own| nids.contains(&own));
        let mut ends = nids.clone();
        ends.extend(own.filter(|_| counts));
        if self.states_of_ends(arriving.found.as_ref()) == Some(ends) {
            return Ok((self.head.state.clone(), self.head.chain.clone()));
        }
        nids.retain(|nid| Some(*nid) != own);
        let stored: Vec<StateNid> = nids.iter().copied().collect();
        let chains = self.engine.db().states().list_chains(&stored).await?;
        let mut states = Vec::with_capacity(nids.len() + 1);
        for nid in nids {
            let (state, _) = chains.get(&nid).ok_or(EventError::NotLoaded)?;
            states.push(state.clone());
        }
        if counts {
            states.push(around.state_after.clone());
        }
        let state = self.engine.resolve(&self.head, states, arriving.to_unstored()).await?;
        if is_same(&state, &self.head.state) {
            return Ok((self.head.state.clone(), self.head.chain.clone()));
        }
        if is_same(&state, &around.state_after) {
            return Ok((around.state_after.clone(), around.after.clone()));
        }
        let mut chain = self.head.chain.clone();
        let changes = state_changes(&self.head.state, &state);
        let nid = self.engine.db().nids().next_state().await?;
        self.snapshots.push(chain.extend(nid, &changes, &state));
        Ok((state, chain))
    }

    /// Note what clients cannot see from the event itself, and whose membership changes.
    async fn note_changes(
        &mut self,
        arriving: &Arriving<'_>,
        state: &StateMap,
    ) -> Result<(), EventError> {
        let mut seen = self.head.state.clone();
        if let Some(key) = arriving.key {
            seen.insert(key, arriving.nid);
        }
        self.resets = state_changes(&seen, state);
        let changes = state_changes(&self.head.state, state);
        let member = arriving.key.zip(arriving.membership);
        match &changes[..] {
            [] => return Ok(()),
            // The event itself says it all.
            [(_, Some(nid))] if *nid == arriving.nid => {
                if member.is_none() {
                    return Ok(());
                }
                let user_id = arriving.received.pdu.state_key.as_deref().unwrap_or_default();
                return self.note_membership(Some(*nid), user_id, arriving, &HashMap::new());
            }
            _ => {}
        }
        let keys: Vec<StateKeyNid> = changes.iter().map(|(key, _)| *key).collect();
        let keys = self.engine.db().state_keys().list(&keys).await?;
        let nids: Vec<EventNid> = changes.iter().filter_map(|(_, nid)| *nid).collect();
        let events = self.engine.db().events().find_many(&nids).await?;
        let memberships: HashMap<EventNid, Membership> =
            events.iter().filter_map(|(nid, event)| Some((*nid, event.membership?))).collect();
        for (key, nid) in changes {
            let name = keys.get(&key).ok_or(EventError::NotLoaded)?;
            if &*name.event_type == "m.room.member" {
                self.note_membership(nid, &name.state_key, arriving, &memberships)?;
            }
        }
        Ok(())
    }

    /// Note the membership that a member event gives, or that there is no such event any more. A state key that is no user ID has
    /// no membership.
    fn note_membership(
        &mut self,
        event_nid: Option<EventNid>,
        user_id: &str,
        arriving: &Arriving<'_>,
        stored: &HashMap<EventNid, Membership>,
    ) -> Result<(), EventError> {
        let Ok(user_id) = OwnedUserId::try_from(user_id) else { return Ok(()) };
        let Some(event_nid) = event_nid else {
            self.departures.push(user_id);
            return Ok(());
        };
        let membership = match arriving.membership.filter(|_| event_nid == arriving.nid) {
            Some(membership) => membership,
            None => *stored.get(&event_nid).ok_or(EventError::NotLoaded)?,
        };
        self.memberships.push(MembershipChange { user_id, membership, event_nid });
        Ok(())
    }

    /// The states after the forward extremities, from which the current state follows. `None` where nobody has looked.
    pub(super) fn states_of_ends(&self, found: Option<&Found>) -> Option<BTreeSet<StateNid>> {
        let extremities = self.head.extremities.iter();
        extremities.map(|extremity| self.state_of(extremity, found).ok()).collect()
    }

    /// The state after a forward extremity.
    fn state_of(
        &self,
        extremity: &Extremity,
        found: Option<&Found>,
    ) -> Result<StateNid, EventError> {
        let event = found.and_then(|found| found.events.get(&extremity.event_id));
        event.and_then(|event| event.state_after).ok_or(EventError::NotLoaded)
    }
}
