//! The known part of a room's state in memory: the events that decisions ask for, parsed.

use std::{collections::HashMap, sync::Arc};

use myelin_events::{Pdu, RoomVersion, redact::redact_event};
use myelin_model::{Event, EventFlags, EventNid, Membership, StateKeyNid};
use myelin_storage::{StateMap, StorageError};

/// A state event as it is now: what a redaction took away is not in it.
#[derive(Debug)]
pub struct StateEvent {
    pub nid: EventNid,
    /// The event in the format of its room version, redacted if it is.
    pub pdu: Pdu,
    /// The membership of a member event.
    pub membership: Option<Membership>,
}

impl StateEvent {
    /// Read a stored event. It is redacted where the log says so, and where `is_redacted` says that a redaction is on its way.
    pub(crate) fn read(
        event: &Event,
        version: RoomVersion,
        is_redacted: bool,
    ) -> Result<Self, StorageError> {
        let json = if is_redacted || event.redacted_by.is_some() {
            redact_event(&event.json, version)
                .map_err(StorageError::foreign("events.json"))?
                .into_boxed_str()
        } else {
            event.json.clone()
        };
        let mut pdu = Pdu::from_stored(event.event_id.clone(), json, version)
            .map_err(StorageError::foreign("events.json"))?;
        pdu.rejected = event.flags.contains(EventFlags::REJECTED);
        Ok(Self { nid: event.nid, pdu, membership: event.membership })
    }
}

/// The memory that a parsed event takes besides its text, and that an entry of [`Known`] takes besides its event, in
/// bytes.
const STATE_EVENT_SIZE_BYTES: usize = 1_200;
const SLOT_SIZE_BYTES: usize = 300;

/// The knowledge of one key of a state. A key without a slot is not known, which is another thing than that the state
/// has no such event.
#[derive(Debug, Clone)]
pub(crate) enum Slot {
    /// The state has no such event.
    Absent {
        /// The number of the state key. `None` if no event of any room had it when it was looked up.
        key: Option<StateKeyNid>,
    },
    /// The state has this event.
    Event {
        /// The number of the state key.
        key: StateKeyNid,
        event: Arc<StateEvent>,
    },
}

impl Slot {
    /// The event that the state has.
    pub(crate) fn event(&self) -> Option<&Arc<StateEvent>> {
        match self {
            Self::Absent { .. } => None,
            Self::Event { event, .. } => Some(event),
        }
    }

    /// Whether a state is known to say the same.
    fn holds_in(&self, state: &StateMap) -> bool {
        match self {
            Self::Absent { key: Some(key) } => !state.contains_key(key),
            Self::Absent { key: None } => false,
            Self::Event { key, event } => state.get(key) == Some(&event.nid),
        }
    }

    fn size_bytes(&self) -> usize {
        let event = self.event();
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
    /// The knowledge of a key. `None`: nothing is known of it.
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

    /// Take over what another part says; it wins.
    pub(crate) fn merge(&mut self, other: Self) {
        for (event_type, keys) in other.types {
            for (state_key, slot) in keys {
                self.insert(&event_type, &state_key, slot);
            }
        }
    }

    /// Forget what is not so in this state.
    pub(crate) fn retain_state(&mut self, state: &StateMap) {
        self.retain(|slot| slot.holds_in(state));
    }

    /// Forget all but these events.
    pub(crate) fn retain_events(&mut self, is_kept: impl Fn(EventNid) -> bool) {
        self.retain(|slot| slot.event().is_some_and(|event| is_kept(event.nid)));
    }

    fn retain(&mut self, is_kept: impl Fn(&Slot) -> bool) {
        for keys in self.types.values_mut() {
            keys.retain(|_, slot| is_kept(slot));
        }
        self.types.retain(|_, keys| !keys.is_empty());
        let slots = self.types.values().flat_map(HashMap::values);
        (self.len, self.size_bytes) =
            slots.fold((0, 0), |(len, size), slot| (len + 1, size + slot.size_bytes()));
    }
}
