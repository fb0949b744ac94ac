//! The growth of a room by an event that is added to its history: its forward extremities, and the state that follows
//! from them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use myelin_events::Pdu;
use myelin_model::{
    EventFlags, EventNid, Membership, StateKeyNid, StateNid, limits::PREV_EVENTS_MAX,
};
use myelin_storage::{Extremity, SnapshotChain, StateMap, state_changes, writer::MembershipChange};
use ruma::{OwnedUserId, ServerName};

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
        let (extremities, state, chain) = self.ends_after(arriving, around).await?;
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

    /// The forward extremities after an event, with the state that follows from them: the event, and those that it does not follow.
    ///
    /// Where others follow the event already it is none, unless the state is another with it: the state before those that follow it was
    /// told by another server, and may lack what the event did, as a ban that its target would rather not have known.
    async fn ends_after(
        &mut self,
        arriving: &Arriving<'_>,
        around: &Around,
    ) -> Result<(Vec<Extremity>, StateMap, SnapshotChain), EventError> {
        let pdu = &arriving.received.pdu;
        let own = Extremity { nid: arriving.nid, event_id: pdu.event_id.clone() };
        let mut without = self.head.extremities.clone();
        let mut is_followed = false;
        match &arriving.found {
            Some(found) => {
                let followed = self.find_followed(pdu, &found.events).await?;
                without.retain(|extremity| !followed.contains(&extremity.event_id));
                is_followed = found.traces.is_followed && !without.is_empty();
            }
            None => without.retain(|extremity| !pdu.prev_events.contains(&extremity.event_id)),
        }
        let mut with = without.clone();
        with.push(own);
        self.give_up_one(&mut with, arriving, around).await?;
        let (state, chain) = self.state_after(arriving, around, &with).await?;
        if is_followed {
            let stored = self.snapshots.len();
            let (other, _) = self.state_after(arriving, around, &without).await?;
            self.snapshots.truncate(stored);
            if is_same(&state, &other) {
                return Ok((without, state, chain));
            }
        }
        Ok((with, state, chain))
    }

    /// Have no more forward extremities than an event can follow. One that has the state of another goes, with which nothing is lost; else
    /// the oldest of the server that has most of them, so that no server can keep the events of others from counting. Its branch counts
    /// again when somebody follows it.
    async fn give_up_one(
        &self,
        extremities: &mut Vec<Extremity>,
        arriving: &Arriving<'_>,
        around: &Around,
    ) -> Result<(), EventError> {
        if extremities.len() <= PREV_EVENTS_MAX {
            return Ok(());
        }
        let mut known: HashMap<StateNid, usize> = HashMap::new();
        let mut states = Vec::with_capacity(extremities.len());
        for extremity in extremities.iter() {
            let state = match extremity.nid == arriving.nid {
                true => around.after.state_nid(),
                false => Some(self.state_of(extremity, arriving.found.as_ref())?),
            };
            states.push(state);
            if let Some(state) = state {
                *known.entry(state).or_default() += 1;
            }
        }
        let is_double = |state: &Option<StateNid>| {
            state.and_then(|state| known.get(&state)).is_some_and(|count| *count > 1)
        };
        let others = extremities.iter().zip(&states).filter(|(one, _)| one.nid != arriving.nid);
        let doubles = others.filter(|(_, state)| is_double(state)).map(|(one, _)| one.nid);
        let gone = match doubles.min() {
            Some(double) => double,
            None => self.oldest_of_most(extremities, arriving).await?,
        };
        extremities.retain(|extremity| extremity.nid != gone);
        Ok(())
    }

    /// The oldest forward extremity of the server that has most of them.
    async fn oldest_of_most(
        &self,
        extremities: &[Extremity],
        arriving: &Arriving<'_>,
    ) -> Result<EventNid, EventError> {
        let nids: Vec<EventNid> = extremities.iter().map(|one| one.nid).collect();
        let events = self.engine.db().events().find_many(&nids).await?;
        let mut by_server: BTreeMap<&ServerName, BTreeSet<EventNid>> = BTreeMap::new();
        for event in events.values() {
            by_server.entry(event.sender.server_name()).or_default().insert(event.nid);
        }
        let own = arriving.received.pdu.sender.server_name();
        by_server.entry(own).or_default().insert(arriving.nid);
        let most = by_server.values().max_by_key(|nids| nids.len());
        let mut most = most.into_iter().flatten().filter(|nid| **nid != arriving.nid);
        most.next().or_else(|| nids.first()).copied().ok_or(EventError::NotLoaded)
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
