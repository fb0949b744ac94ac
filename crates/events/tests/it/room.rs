//! A room in memory: its events, numbered as they arrive, and its state after each.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use imbl::OrdMap;
use myelin_events::{
    Pdu, RoomVersion,
    auth::{self, AuthError, LookupState},
    resolve::{self, RoomEvents},
};
use ruma::OwnedEventId;

pub type State = OrdMap<u32, u32>;

/// Numbers of events and keys differ with the order of arrival, as they do between servers.
pub struct Room {
    pub version: RoomVersion,
    pub events: Vec<Arc<Pdu>>,
    pub numbers: HashMap<OwnedEventId, u32>,
    keys: HashMap<String, HashMap<String, u32>>,
    keys_count: u32,
    auth_events: Vec<Vec<u32>>,
    create: Option<u32>,
    pub states_after: Vec<State>,
}

impl Room {
    pub fn new(version: RoomVersion) -> Self {
        Self {
            version,
            events: Vec::new(),
            numbers: HashMap::new(),
            keys: HashMap::new(),
            keys_count: 0,
            auth_events: Vec::new(),
            create: None,
            states_after: Vec::new(),
        }
    }

    /// The state that follows from the states after these events.
    pub fn state_after(&self, events: &[OwnedEventId]) -> State {
        let states: Vec<State> =
            events.iter().map(|id| self.states_after[self.numbers[id] as usize].clone()).collect();
        resolve::resolve(self.version, &states, self)
    }

    pub fn find(&self, state: &State, event_type: &str, state_key: &str) -> Option<Arc<Pdu>> {
        let number = state.get(&self.key(event_type, state_key)?)?;
        Some(self.events[*number as usize].clone())
    }

    pub fn check(&self, state: &State, event: &Pdu) -> Result<(), AuthError> {
        let lookup = |event_type: &str, state_key: &str| self.find(state, event_type, state_key);
        auth::check(self.version, event, &LookupState::new(self.version, lookup))
    }

    pub fn check_auth_events(&self, event: &Pdu) -> Result<(), AuthError> {
        auth::check_auth_events(self.version, event, |id| {
            Some(self.events[*self.numbers.get(id)? as usize].clone())
        })
    }

    /// Take an event with the state before it.
    pub fn push(&mut self, event: Arc<Pdu>, mut state: State) {
        let number = u32::try_from(self.events.len()).unwrap();
        self.numbers.insert(event.event_id.clone(), number);
        if let Some(state_key) = &event.state_key {
            let of_type = self.keys.entry(event.event_type.to_string()).or_default();
            let key = *of_type.entry(state_key.to_string()).or_insert_with(|| {
                self.keys_count += 1;
                self.keys_count - 1
            });
            state.insert(key, number);
        }
        self.auth_events.push(event.auth_events.iter().map(|id| self.numbers[id]).collect());
        if self.create.is_none() && &*event.event_type == "m.room.create" {
            self.create = Some(number);
        }
        self.events.push(event);
        self.states_after.push(state);
    }

    /// A state by names, to compare between rooms.
    pub fn names(&self, state: &State) -> BTreeMap<(String, String), OwnedEventId> {
        state
            .values()
            .map(|number| {
                let event = &self.events[*number as usize];
                (
                    (event.event_type.to_string(), event.state_key.clone().unwrap().into()),
                    event.event_id.clone(),
                )
            })
            .collect()
    }
}

impl RoomEvents for Room {
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
        self.keys.get(event_type)?.get(state_key).copied()
    }

    fn create(&self) -> Option<u32> {
        self.create
    }
}
