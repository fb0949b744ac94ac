//! The events of a room as state resolution asks for them: read from the database when they are needed.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    sync::Arc,
};

use myelin_events::{Pdu, RoomVersion, resolve::RoomEvents};
use myelin_model::{Event, EventNid, StateKeyNid};
use myelin_storage::{Db, StateKey, StorageError};
use ruma::EventId;
use tokio::runtime::Handle;

use crate::EventError;

/// The number of events that one resolution may read. They are in memory until it is done: some hundred megabytes at worst.
const EVENTS_MAX: usize = 50_000;

/// A room's events during one resolution. Not for the async threads: it blocks while it reads.
///
/// An event counts as it was sent, also where it was redacted since: every server must come to the same state, whichever redactions
/// it has.
pub(super) struct StoredRoom<'a> {
    db: &'a Db,
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
    /// The event.
    pub(super) pdu: Arc<Pdu>,
    /// The numbers of the events that it cites.
    pub(super) auth_events: Arc<[EventNid]>,
}

/// An event with the numbers of those that it cites.
#[derive(Clone)]
struct Loaded {
    pdu: Arc<Pdu>,
    auth_events: Arc<[EventNid]>,
}

impl<'a> StoredRoom<'a> {
    pub(super) fn new(
        db: &'a Db,
        runtime: &'a Handle,
        version: RoomVersion,
        create: Option<EventNid>,
    ) -> Self {
        Self {
            db,
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
        let Unstored { nid, pdu, auth_events } = unstored.clone();
        self.events.borrow_mut().insert(nid, Loaded { pdu, auth_events });
        self
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
        let stored = self.runtime.block_on(self.db.events().find_judged(nids))?;
        let mut pdus = Vec::with_capacity(nids.len());
        for nid in nids {
            let event = stored.get(nid).ok_or_else(|| {
                StorageError::foreign("state_snapshots.delta")("names an event that is missing")
            })?;
            pdus.push((*nid, self.parse(event)?));
        }
        let mut cited: Vec<&EventId> =
            pdus.iter().flat_map(|(_, pdu)| pdu.auth_events.iter().map(|id| &**id)).collect();
        cited.sort_unstable();
        cited.dedup();
        let cited = self.runtime.block_on(self.db.events().find_nids(&cited))?;
        let mut events = self.events.borrow_mut();
        for (nid, pdu) in pdus {
            let auth_events =
                pdu.auth_events.iter().filter_map(|id| cited.get(id).copied()).collect();
            events.insert(nid, Loaded { pdu, auth_events });
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
            // Who asks for these goes on to ask for theirs.
            self.prefetch(&loaded.auth_events);
            into.extend(loaded.auth_events.iter());
        }
    }

    fn key(&self, event_type: &str, state_key: &str) -> Option<StateKeyNid> {
        let key = StateKey::new(event_type, state_key);
        if let Some(known) = self.keys.borrow().get(&key) {
            return *known;
        }
        match self.runtime.block_on(self.db.state_keys().find(event_type, state_key)) {
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
