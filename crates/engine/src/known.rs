//! What is known of a room's state in memory: the events that entitle others, parsed.

use std::{collections::HashMap, sync::Arc};

use myelin_events::Pdu;
use myelin_model::{EventNid, Membership, StateKeyNid};
use myelin_storage::StateMap;

/// A state event, parsed.
#[derive(Debug)]
pub struct StateEvent {
    /// Its number.
    pub nid: EventNid,
    /// The event.
    pub pdu: Pdu,
    /// The membership of a member event.
    pub membership: Option<Membership>,
}

/// What a parsed event takes besides its text, and what an entry of [`Known`] takes besides its event, in bytes.
const STATE_EVENT_SIZE_BYTES: usize = 1_200;
const SLOT_SIZE_BYTES: usize = 300;

#[derive(Debug, Clone)]
pub(crate) struct Slot {
    /// The number of the state key. `None` if no event of any room had it when it was looked up.
    pub(crate) key: Option<StateKeyNid>,
    /// The event. `None`: the state has none.
    pub(crate) event: Option<Arc<StateEvent>>,
}

impl Slot {
    fn size_bytes(&self) -> usize {
        let event = self.event.as_ref();
        SLOT_SIZE_BYTES + event.map_or(0, |event| STATE_EVENT_SIZE_BYTES + event.pdu.json().len())
    }
}

/// A part of a state: what was looked up or set, by type and state key.
#[derive(Debug, Default)]
pub(crate) struct Known {
    types: HashMap<Box<str>, HashMap<Box<str>, Slot>>,
    len: usize,
    size_bytes: usize,
}

impl Known {
    pub(crate) fn find(&self, event_type: &str, state_key: &str) -> Option<&Slot> {
        self.types.get(event_type)?.get(state_key)
    }

    pub(crate) fn insert(&mut self, event_type: &str, state_key: &str, slot: Slot) {
        let keys = match self.types.get_mut(event_type) {
            Some(keys) => keys,
            None => self.types.entry(event_type.into()).or_default(),
        };
        self.size_bytes += slot.size_bytes();
        match keys.insert(state_key.into(), slot) {
            Some(replaced) => {
                self.size_bytes = self.size_bytes.saturating_sub(replaced.size_bytes());
            }
            None => self.len += 1,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// About how much memory it takes, in bytes.
    pub(crate) fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Take over what another part says; it wins.
    pub(crate) fn merge(&mut self, other: Self) {
        for (event_type, keys) in other.types {
            for (state_key, slot) in keys {
                self.insert(&event_type, &state_key, slot);
            }
        }
    }

    /// Forget what is not so in this state.
    pub(crate) fn retain(&mut self, state: &StateMap) {
        for keys in self.types.values_mut() {
            keys.retain(|_, slot| match slot.key {
                Some(key) => state.get(&key) == slot.event.as_ref().map(|event| &event.nid),
                None => false,
            });
        }
        self.types.retain(|_, keys| !keys.is_empty());
        let slots = self.types.values().flat_map(HashMap::values);
        (self.len, self.size_bytes) =
            slots.fold((0, 0), |(len, size), slot| (len + 1, size + slot.size_bytes()));
    }
}
