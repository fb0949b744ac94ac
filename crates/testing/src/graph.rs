//! A room's event graph as a slow model: whatever is asked is worked out from all its events, with no database and no index.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use imbl::OrdMap;
use myelin_events::{
    Pdu, RoomVersion,
    auth::{self, AuthError, LookupState},
    received::{check_by_auth_events, cited_events},
    resolve::{self, RoomEvents},
};
use ruma::OwnedEventId;

/// A state by numbers of keys and events.
type State = OrdMap<u32, u32>;

/// A state by names.
pub type NamedState = BTreeMap<(String, String), OwnedEventId>;

/// The verdict of a server on an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judged {
    /// It is part of the history.
    Accepted,
    /// It is not allowed any more.
    SoftFailed,
    /// It never was allowed.
    Rejected,
}

/// A room's events, in the order in which a server took them in.
#[derive(Debug)]
pub struct Graph {
    /// The room version.
    pub version: RoomVersion,
    events: Vec<Arc<Pdu>>,
    judged: Vec<Judged>,
    numbers: HashMap<OwnedEventId, u32>,
    keys: BTreeMap<(String, String), u32>,
    auth_events: Vec<Vec<u32>>,
    states_after: Vec<State>,
}

impl Graph {
    /// A room without events.
    pub fn new(version: RoomVersion) -> Self {
        Self {
            version,
            events: Vec::new(),
            judged: Vec::new(),
            numbers: HashMap::new(),
            keys: BTreeMap::new(),
            auth_events: Vec::new(),
            states_after: Vec::new(),
        }
    }

    /// Take in an event. `None` if events before it, or such as it cites, are not there. One that is there is what it was.
    pub fn take(&mut self, pdu: &Pdu) -> Option<Judged> {
        if let Some(number) = self.numbers.get(&pdu.event_id) {
            return self.judged.get(*number as usize).copied();
        }
        let cited = cited_events(pdu);
        let cited: Vec<&Pdu> = cited.iter().map(|id| self.get(id)).collect::<Option<_>>()?;
        let is_entitled = check_by_auth_events(pdu, &cited).is_ok();
        if !pdu.prev_events.iter().all(|id| self.numbers.contains_key(id)) {
            return None;
        }
        let before = self.after(&pdu.prev_events);
        let judged = if !is_entitled || self.check(&before, pdu).is_err() {
            Judged::Rejected
        } else if !self.events.is_empty() && self.check(&self.current(), pdu).is_err() {
            Judged::SoftFailed
        } else {
            Judged::Accepted
        };
        self.push(pdu.clone(), before, judged);
        Some(judged)
    }

    fn push(&mut self, mut pdu: Pdu, mut state: State, judged: Judged) {
        let number = u32::try_from(self.events.len()).unwrap();
        pdu.rejected = judged == Judged::Rejected;
        self.numbers.insert(pdu.event_id.clone(), number);
        if let Some(state_key) = &pdu.state_key {
            let next = u32::try_from(self.keys.len()).unwrap();
            let name = (pdu.event_type.to_string(), state_key.to_string());
            let key = *self.keys.entry(name).or_insert(next);
            if judged != Judged::Rejected {
                state.insert(key, number);
            }
        }
        let auth_events = pdu.auth_events.iter().map(|id| self.numbers[id]).collect();
        self.auth_events.push(auth_events);
        self.events.push(Arc::new(pdu));
        self.judged.push(judged);
        self.states_after.push(state);
    }

    /// An event.
    pub fn get(&self, event_id: &ruma::EventId) -> Option<&Pdu> {
        let number = self.numbers.get(event_id)?;
        self.events.get(*number as usize).map(|pdu| &**pdu)
    }

    /// The verdict on an event.
    pub fn judged(&self, event_id: &ruma::EventId) -> Option<Judged> {
        let number = self.numbers.get(event_id)?;
        self.judged.get(*number as usize).copied()
    }

    /// All events.
    pub fn events(&self) -> &[Arc<Pdu>] {
        &self.events
    }

    /// The accepted events that no accepted event follows. One follows what is before the hidden events that it follows, too.
    pub fn extremities(&self) -> BTreeSet<OwnedEventId> {
        let accepted = || {
            self.events.iter().zip(&self.judged).filter(|(_, judged)| **judged == Judged::Accepted)
        };
        let mut followed: HashSet<OwnedEventId> = HashSet::new();
        for (pdu, _) in accepted() {
            let mut open: Vec<&OwnedEventId> = pdu.prev_events.iter().collect();
            while let Some(id) = open.pop() {
                let number = self.numbers[id] as usize;
                if followed.insert(id.clone()) && self.judged[number] != Judged::Accepted {
                    open.extend(self.events[number].prev_events.iter());
                }
            }
        }
        let ids = accepted().map(|(pdu, _)| pdu.event_id.clone());
        ids.filter(|id| !followed.contains(id)).collect()
    }

    /// The current state.
    pub fn state(&self) -> NamedState {
        self.name(&self.current())
    }

    /// The state after some events.
    pub fn state_after(&self, event_ids: &[OwnedEventId]) -> NamedState {
        self.name(&self.after(event_ids))
    }

    fn current(&self) -> State {
        let extremities: Vec<OwnedEventId> = self.extremities().into_iter().collect();
        self.after(&extremities)
    }

    fn after(&self, event_ids: &[OwnedEventId]) -> State {
        let state = |id| self.states_after[self.numbers[id] as usize].clone();
        let states: Vec<State> = event_ids.iter().map(state).collect();
        resolve::resolve(self.version, &states, self)
    }

    fn check(&self, state: &State, pdu: &Pdu) -> Result<(), AuthError> {
        let lookup = |event_type: &str, state_key: &str| {
            let number = state.get(&self.key(event_type, state_key)?)?;
            Some(self.events[*number as usize].clone())
        };
        auth::check(self.version, pdu, &LookupState::new(self.version, lookup))
    }

    fn name(&self, state: &State) -> NamedState {
        let name = |(name, key): (&(String, String), &u32)| {
            let number = state.get(key)?;
            Some((name.clone(), self.events[*number as usize].event_id.clone()))
        };
        self.keys.iter().filter_map(name).collect()
    }
}

impl RoomEvents for Graph {
    type Id = u32;
    type Key = u32;
    type Event = Arc<Pdu>;

    fn event(&self, id: u32) -> Option<Arc<Pdu>> {
        self.events.get(id as usize).cloned()
    }

    fn auth_events(&self, id: u32, into: &mut Vec<u32>) {
        into.extend(&self.auth_events[id as usize]);
    }

    fn key(&self, event_type: &str, state_key: &str) -> Option<u32> {
        self.keys.get(&(event_type.to_owned(), state_key.to_owned())).copied()
    }

    fn create(&self) -> Option<u32> {
        let is_create = |pdu: &Arc<Pdu>| pdu.is_state_of("m.room.create", "");
        self.events.iter().position(is_create).map(|number| u32::try_from(number).unwrap())
    }
}
