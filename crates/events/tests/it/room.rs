//! A room in memory: its events, numbered as they arrive, and its state after each.

use std::{
    cell::RefCell,
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
    keys: RefCell<HashMap<(String, String), u32>>,
    pub states_after: Vec<State>,
}

impl Room {
    pub fn new(version: RoomVersion) -> Self {
        Self {
            version,
            events: Vec::new(),
            numbers: HashMap::new(),
            keys: RefCell::default(),
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
            let next = u32::try_from(self.keys.borrow().len()).unwrap();
            let key = *self
                .keys
                .borrow_mut()
                .entry((event.event_type.to_string(), state_key.to_string()))
                .or_insert(next);
            state.insert(key, number);
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
        into.extend(self.events[id as usize].auth_events.iter().map(|id| self.numbers[id]));
    }

    fn key(&self, event_type: &str, state_key: &str) -> Option<u32> {
        self.keys.borrow().get(&(event_type.to_owned(), state_key.to_owned())).copied()
    }

    fn create(&self) -> Option<u32> {
        self.events
            .iter()
            .position(|event| &*event.event_type == "m.room.create")
            .and_then(|place| u32::try_from(place).ok())
    }
}
