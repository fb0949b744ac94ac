//! The events of a room as state resolution asks for them: read from the database when they are needed.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    sync::Arc,
};

use myelin_events::{Pdu, RoomVersion, resolve::RoomEvents};
use myelin_model::{Event, EventNid, StateKeyNid};
use myelin_storage::{Db, StateKey, StorageError};
use quick_cache::{Weighter, sync::Cache};
use ruma::EventId;
use tokio::runtime::Handle;

use crate::EventError;

/// The number of events that one resolution may read. They are in memory until it is done: some hundred megabytes at worst.
const EVENTS_MAX: usize = 50_000;

/// The memory that events may take which were read for resolutions, in bytes.
const EVENTS_SIZE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The memory that an event takes beside its JSON, in bytes.
const EVENT_SIZE_BYTES: usize = 1_024;

/// Events that were read for resolutions lately, on a node: the same ones are mostly asked for when a room's state is resolved again, all
/// its power levels among them. Only what is part of the history for good is among them.
pub(super) struct ReadEvents(Cache<EventNid, Loaded, BySize>);

impl Default for ReadEvents {
    fn default() -> Self {
        let expected = EVENTS_SIZE_BYTES_MAX / EVENT_SIZE_BYTES as u64 / 2;
        let expected = usize::try_from(expected).unwrap_or(usize::MAX);
        Self(Cache::with_weighter(expected, EVENTS_SIZE_BYTES_MAX, BySize))
    }
}

#[derive(Clone)]
struct BySize;

impl Weighter<EventNid, Loaded> for BySize {
    fn weight(&self, _: &EventNid, loaded: &Loaded) -> u64 {
        (loaded.pdu.json().len() * 2 + EVENT_SIZE_BYTES) as u64
    }
}

/// A room's events during one resolution. Not for the async threads: it blocks while it reads.
///
/// An event counts as it was sent, also where it was redacted since: every server must come to the same state, whichever redactions
/// it has.
pub(super) struct StoredRoom<'a> {
    db: &'a Db,
    known: &'a ReadEvents,
    runtime: &'a Handle,
    version: RoomVersion,
    create: Option<EventNid>,
    events: RefCell<HashMap<EventNid, Loaded>>,
    keys: RefCell<HashMap<StateKey, Option<StateKeyNid>>>,
    failure: Cell<Option<EventError>>,
}

/// A state event that is about to be stored.
#[derive(Debug, Clone)]
pub(super) struct Unstored {
    /// Its number.
    pub(super) nid: EventNid,
    /// The number of its state key.
    pub(super) key: StateKeyNid,
    /// The event.
    pub(super) pdu: Arc<Pdu>,
    /// The numbers of the events that it cites.
    pub(super) auth_events: Arc<[EventNid]>,
}

/// An event with the numbers of its state key and of those that it cites.
#[derive(Clone)]
struct Loaded {
    key: Option<StateKeyNid>,
    pdu: Arc<Pdu>,
    auth_events: Arc<[EventNid]>,
}

impl<'a> StoredRoom<'a> {
    pub(super) fn new(
        db: &'a Db,
        known: &'a ReadEvents,
        runtime: &'a Handle,
        version: RoomVersion,
        create: Option<EventNid>,
    ) -> Self {
        Self {
            db,
            known,
            runtime,
            version,
            create,
            events: RefCell::default(),
            keys: RefCell::default(),
            failure: Cell::default(),
        }
    }

    /// Have an event as if it were stored.
    pub(super) fn with(self, unstored: &Unstored) -> Self {
        let Unstored { nid, key, pdu, auth_events } = unstored.clone();
        self.events.borrow_mut().insert(nid, Loaded { key: Some(key), pdu, auth_events });
        self
    }

    /// The room version.
    pub(super) fn version(&self) -> RoomVersion {
        self.version
    }

    /// The number of an event's state key.
    pub(super) fn key_of(&self, id: EventNid) -> Option<StateKeyNid> {
        self.find(id)?.key
    }

    /// Wait for a read. Blocks.
    pub(super) fn wait<T>(&self, read: impl Future<Output = T>) -> T {
        self.runtime.block_on(read)
    }

    /// The error that came up while the room was read. With one, what was resolved meanwhile says nothing.
    pub(super) fn into_failure(self) -> Option<EventError> {
        self.failure.into_inner()
    }

    fn find(&self, id: EventNid) -> Option<Loaded> {
        if !self.events.borrow().contains_key(&id) {
            self.prefetch(&[id]);
        }
        self.events.borrow().get(&id).cloned()
    }

    fn load(&self, nids: &[EventNid]) -> Result<(), EventError> {
        if self.events.borrow().len() + nids.len() > EVENTS_MAX {
            return Err(EventError::ConflictTooLarge);
        }
        let mut missing = Vec::new();
        for nid in nids {
            match self.known.0.get(nid) {
                Some(loaded) => drop(self.events.borrow_mut().insert(*nid, loaded)),
                None => missing.push(*nid),
            }
        }
        if missing.is_empty() { Ok(()) } else { self.read(&missing) }
    }

    /// Read events that are not in memory.
    fn read(&self, nids: &[EventNid]) -> Result<(), EventError> {
        let stored = self.wait(self.db.events().find_judged(nids))?;
        let mut parsed = Vec::with_capacity(nids.len());
        for nid in nids {
            let event = stored.get(nid).ok_or_else(|| {
                StorageError::foreign("state_snapshots.delta")("names an event that is missing")
            })?;
            parsed.push((event, self.parse(event)?));
        }
        let mut cited: Vec<&EventId> =
            parsed.iter().flat_map(|(_, pdu)| pdu.auth_events.iter().map(|id| &**id)).collect();
        cited.sort_unstable();
        cited.dedup();
        let cited = self.wait(self.db.events().find_nids(&cited))?;
        let mut events = self.events.borrow_mut();
        for (event, pdu) in parsed {
            let auth_events =
                pdu.auth_events.iter().filter_map(|id| cited.get(id).copied()).collect();
            let loaded = Loaded { key: event.state_key_nid, pdu, auth_events };
            // The verdict on any other may change.
            if event.pos.is_some() && event.is_visible() {
                self.known.0.insert(event.nid, loaded.clone());
            }
            events.insert(event.nid, loaded);
        }
        Ok(())
    }

    fn parse(&self, event: &Event) -> Result<Arc<Pdu>, StorageError> {
        let mut pdu = Pdu::from_stored(event.event_id.clone(), event.json.clone(), self.version)
            .map_err(StorageError::foreign("events.json"))?;
        pdu.rejected = event.flags.contains(myelin_model::EventFlags::REJECTED);
        Ok(Arc::new(pdu))
    }
}

impl RoomEvents for StoredRoom<'_> {
    type Id = EventNid;
    type Key = StateKeyNid;
    type Event = Arc<Pdu>;

    fn event(&self, id: EventNid) -> Option<Arc<Pdu>> {
        self.find(id).map(|loaded| loaded.pdu)
    }

    fn auth_events(&self, id: EventNid, into: &mut Vec<EventNid>) {
        if let Some(loaded) = self.find(id) {
            into.extend(loaded.auth_events.iter());
        }
    }

    fn key(&self, event_type: &str, state_key: &str) -> Option<StateKeyNid> {
        let key = StateKey::new(event_type, state_key);
        if let Some(known) = self.keys.borrow().get(&key) {
            return *known;
        }
        match self.wait(self.db.state_keys().find(event_type, state_key)) {
            Ok(nid) => {
                self.keys.borrow_mut().insert(key, nid);
                nid
            }
            Err(error) => {
                self.failure.set(Some(error.into()));
                None
            }
        }
    }

    fn create(&self) -> Option<EventNid> {
        self.create
    }

    fn prefetch(&self, ids: &[EventNid]) {
        let missing: Vec<EventNid> = {
            let events = self.events.borrow();
            ids.iter().copied().filter(|id| !events.contains_key(id)).collect()
        };
        if !missing.is_empty()
            && let Err(error) = self.load(&missing)
        {
            self.failure.set(Some(error));
        }
    }
}
