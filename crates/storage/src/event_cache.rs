//! Events in memory, shared by everything on the node that reads them.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use myelin_model::{Event, EventNid, RoomNid};
use quick_cache::{Weighter, sync::Cache};
use ruma::{EventId, OwnedEventId};

use crate::log::{Change, LogEntry};

/// The number of event IDs that are remembered with their numbers.
const IDS_MAX: usize = 100_000;

/// The memory that an event is expected to take, for sizing the cache's tables.
const EVENT_SIZE_BYTES_EXPECTED: u64 = 2_048;

#[derive(Clone)]
struct BySize;

impl Weighter<EventNid, Arc<Event>> for BySize {
    fn weight(&self, _: &EventNid, event: &Arc<Event>) -> u64 {
        event.size_bytes() as u64
    }
}

/// Events by number, bounded by bytes. Kept true by the log: a redaction drops the event it redacts, and
/// an entry that this version does not know drops all events of its room.
pub struct EventCache {
    events: Cache<EventNid, Arc<Event>, BySize>,
    ids: Cache<OwnedEventId, EventNid>,
    /// Counts redactions: what was read from the database before one may be stale.
    redactions: AtomicU64,
    /// Counts those of events that may be state: who keeps state in memory asks.
    state_redactions: AtomicU64,
}

impl std::fmt::Debug for EventCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventCache").field("events", &self.events.len()).finish_non_exhaustive()
    }
}

/// Rooms whose events may be others than those in memory.
#[derive(Default)]
struct Outdated {
    rooms: HashSet<RoomNid>,
    everything: bool,
}

/// Proof of when a read from the database began.
#[derive(Debug)]
pub(crate) struct ReadToken(u64);

impl EventCache {
    pub(crate) fn new(size_bytes_max: u64) -> Self {
        let expected =
            usize::try_from(size_bytes_max / EVENT_SIZE_BYTES_EXPECTED).unwrap_or(usize::MAX);
        Self {
            events: Cache::with_weighter(expected, size_bytes_max, BySize),
            ids: Cache::new(IDS_MAX),
            redactions: AtomicU64::new(0),
            state_redactions: AtomicU64::new(0),
        }
    }

    /// The event, if it is in memory.
    pub fn find(&self, nid: EventNid) -> Option<Arc<Event>> {
        self.events.get(&nid)
    }

    /// The number of redactions of events that may be state which the log has brought, and of entries that may be such. It rises before the room's head
    /// moves: a task that looks at the head first knows of every redaction up to it.
    pub fn state_redactions(&self) -> u64 {
        self.state_redactions.load(Ordering::Acquire)
    }

    /// The events that are in memory, and the numbers of the others.
    pub(crate) fn split(&self, nids: &[EventNid]) -> (HashMap<EventNid, Arc<Event>>, Vec<i64>) {
        let mut found = HashMap::with_capacity(nids.len());
        let mut missing = Vec::new();
        for nid in nids {
            match self.events.get(nid) {
                Some(event) => drop(found.insert(*nid, event)),
                None => missing.push(nid.0),
            }
        }
        (found, missing)
    }

    /// The numbers known of these IDs, and the IDs not known.
    pub(crate) fn split_ids(
        &self,
        event_ids: &[&EventId],
    ) -> (HashMap<OwnedEventId, EventNid>, Vec<String>) {
        let mut found = HashMap::new();
        let mut missing = Vec::new();
        for event_id in event_ids {
            match self.ids.get(*event_id) {
                Some(nid) => drop(found.insert((*event_id).to_owned(), nid)),
                None => missing.push(event_id.to_string()),
            }
        }
        (found, missing)
    }

    /// Call before reading events from the database, for [`EventCache::insert_read`].
    pub(crate) fn begin_read(&self) -> ReadToken {
        ReadToken(self.redactions.load(Ordering::Acquire))
    }

    /// Keep an event read from the database, unless a redaction came in between.
    pub(crate) fn insert_read(&self, token: &ReadToken, event: &Arc<Event>) {
        self.insert(event);
        // Checked afterwards, so that a redaction that is applied meanwhile is not missed.
        if self.redactions.load(Ordering::Acquire) != token.0 {
            self.events.remove(&event.nid);
        }
    }

    fn insert(&self, event: &Arc<Event>) {
        self.ids.insert(event.event_id.clone(), event.nid);
        self.events.insert(event.nid, Arc::clone(event));
    }

    /// Take up what the log says. Called before all subscribers.
    pub(crate) fn apply(&self, entries: &[Arc<LogEntry>]) {
        let mut outdated = Outdated::default();
        for entry in entries {
            match &entry.change {
                Change::Event(event) => self.take_up(event),
                Change::Other { room_nid: Some(room_nid), .. } => {
                    outdated.rooms.insert(*room_nid);
                }
                Change::Rewritten { event_nids, .. } => self.drop_all(event_nids),
                Change::Other { room_nid: None, user_id: None } => outdated.everything = true,
                // What happened to users is in no event.
                Change::Other { room_nid: None, user_id: Some(_) }
                | Change::StateReset { .. }
                | Change::Receipt { .. }
                | Change::AccountData { .. }
                | Change::Sessions { .. }
                | Change::Account { .. }
                | Change::Profile { .. }
                | Change::DeviceList { .. }
                | Change::ToDevice { .. }
                | Change::KeyCounts { .. }
                | Change::Signatures { .. }
                | Change::Forgotten { .. } => {}
            }
        }
        if outdated.everything || !outdated.rooms.is_empty() {
            self.forget(&outdated);
        }
    }

    fn take_up(&self, event: &Arc<Event>) {
        self.insert(event);
        if let Some(redacted) = event.redacts {
            self.redactions.fetch_add(1, Ordering::AcqRel);
            let cached = self.events.remove(&redacted);
            if cached.is_none_or(|(_, event)| event.is_state()) {
                self.state_redactions.fetch_add(1, Ordering::AcqRel);
            }
        }
    }

    /// Forget events that became others. They may be redacted.
    fn drop_all(&self, nids: &[EventNid]) {
        self.redactions.fetch_add(1, Ordering::AcqRel);
        for nid in nids {
            self.events.remove(nid);
        }
        self.state_redactions.fetch_add(1, Ordering::AcqRel);
    }

    /// Forget events that may have been changed in a way that is not known here. It counts as a redaction of any of them.
    fn forget(&self, outdated: &Outdated) {
        self.redactions.fetch_add(1, Ordering::AcqRel);
        if outdated.everything {
            self.events.clear();
        } else {
            self.events.retain(|_, event| !outdated.rooms.contains(&event.room_nid));
        }
        self.state_redactions.fetch_add(1, Ordering::AcqRel);
    }
}
