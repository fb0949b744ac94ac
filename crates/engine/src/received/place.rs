//! A received event that has been judged, and what is stored of it.

use std::{
    collections::BTreeSet,
    sync::{Arc, OnceLock},
};

use myelin_events::{auth::AuthEvent as _, received::Received};
use myelin_model::{Event, EventFlags, EventNid, Membership, StateKeyNid, StreamPos};
use myelin_storage::{NewSnapshot, SnapshotChain, StateMap, writer::Known};
use ruma::OwnedEventId;

use super::{Verdict, before::Before, late::Redacting, look_up::Found, stored_room::Unstored};
use crate::{Draft, EventError, StateEvent};

/// A received event on its way to its place.
pub(super) struct Arriving<'a> {
    pub(super) received: &'a Received,
    pub(super) nid: EventNid,
    /// The number of its state key, if it is state.
    pub(super) key: Option<StateKeyNid>,
    pub(super) membership: Option<Membership>,
    /// The events that entitle it.
    pub(super) cited: Vec<Arc<StateEvent>>,
    /// The stored events that have to do with it. `None` if nobody has looked.
    pub(super) found: Option<Found>,
    /// The redaction that came before it.
    pub(super) redacted_by: Option<EventNid>,
}

/// The states around an event.
#[derive(Default)]
pub(super) struct Around {
    pub(super) before: SnapshotChain,
    pub(super) after: SnapshotChain,
    pub(super) state_before: StateMap,
    pub(super) state_after: StateMap,
    /// The position of the event beside the log, if that is given.
    pub(super) pos: Option<StreamPos>,
    /// The event that it redacts, or will redact.
    pub(super) redacting: Redacting,
    /// The snapshots that are not stored yet.
    pub(super) snapshots: Vec<NewSnapshot>,
}

impl Arriving<'_> {
    /// The form in which it is known to be stored. `None` if nobody has looked.
    pub(super) fn known(&self) -> Option<Known> {
        let found = self.found.as_ref()?;
        Some(match &found.own {
            Some(own) => Known::Stored { pos: own.pos },
            None => Known::Nothing,
        })
    }

    /// Whether a verdict by which it takes no effect was the verdict before.
    pub(super) fn is_known_as(&self, verdict: &Verdict) -> bool {
        let own = self.found.as_ref().and_then(|found| found.own.as_ref());
        let was_undecided = own.is_some_and(|own| own.flags.contains(EventFlags::PARTIAL));
        match verdict {
            Verdict::Rejected(_) => !was_undecided,
            Verdict::Undecided => was_undecided,
            Verdict::Appended
            | Verdict::RedactedAndAppended
            | Verdict::SoftFailed
            | Verdict::Backfilled
            | Verdict::Outlier => false,
        }
    }

    /// The part of it that resolving must know while it is not stored. `None` if it is no state.
    pub(super) fn to_unstored(&self) -> Option<Unstored> {
        let key = self.key?;
        let auth_events = self.auth_events().iter().map(|event| event.nid).collect();
        Some(Unstored { nid: self.nid, key, pdu: Arc::new(self.received.pdu.clone()), auth_events })
    }

    /// The events before it that are not part of the history.
    pub(super) fn missing(&self) -> Vec<OwnedEventId> {
        let Some(found) = &self.found else { return Vec::new() };
        let before = self.received.pdu.prev_events.iter();
        // An event may name another twice.
        let missing: BTreeSet<&OwnedEventId> = before.filter(|id| !found.has(id)).collect();
        missing.into_iter().cloned().collect()
    }

    /// The events that it cites itself.
    pub(super) fn auth_events(&self) -> Vec<Arc<StateEvent>> {
        let pdu = &self.received.pdu;
        let is_cited = |event: &&Arc<StateEvent>| pdu.auth_events.contains(&event.pdu.event_id);
        self.cited.iter().filter(is_cited).cloned().collect()
    }
}

impl Draft {
    /// Give an event its numbers.
    pub(super) async fn number<'a>(
        &self,
        received: &'a Received,
        cited: Vec<Arc<StateEvent>>,
        found: Option<Found>,
    ) -> Result<Arriving<'a>, EventError> {
        let pdu = &received.pdu;
        let key = match &pdu.state_key {
            Some(state_key) => Some(self.state_key_nid(&pdu.event_type, state_key).await?),
            None => None,
        };
        let is_member = &*pdu.event_type == "m.room.member" && pdu.state_key.is_some();
        let mut redacted_by = found.as_ref().and_then(|found| found.traces.redacted_by);
        let nid = match found.as_ref().and_then(|found| found.own.as_ref()) {
            Some(own) => {
                let stored = self.engine.db().events().find(own.nid).await?;
                redacted_by = redacted_by.or(stored.and_then(|event| event.redacted_by));
                own.nid
            }
            None => self.engine.db().nids().next_event().await?,
        };
        let membership = is_member.then(|| pdu.membership()).flatten();
        Ok(Arriving { received, nid, key, membership, cited, found, redacted_by })
    }

    /// The states before and after an event. One that takes no effect leaves the state as it is.
    pub(super) async fn find_around(
        &self,
        arriving: &Arriving<'_>,
        before: Before,
        takes_effect: bool,
    ) -> Result<Around, EventError> {
        let (state_before, chain_before, mut snapshots) = match before {
            Before::Current => (self.head.state.clone(), self.head.chain.clone(), Vec::new()),
            Before::Other(other) => (other.state, other.chain, other.snapshots),
        };
        let (mut state_after, mut after) = (state_before.clone(), chain_before.clone());
        if let Some(key) = arriving.key.filter(|_| takes_effect) {
            state_after.insert(key, arriving.nid);
            let state_nid = self.engine.db().nids().next_state().await?;
            let change = [(key, Some(arriving.nid))];
            snapshots.push(after.extend(state_nid, &change, &state_after));
        }
        let before = chain_before;
        Ok(Around { before, after, state_before, state_after, snapshots, ..Around::default() })
    }

    /// The event as it is stored.
    pub(super) fn to_event(
        &self,
        arriving: &Arriving<'_>,
        around: &Around,
        flags: EventFlags,
    ) -> Event {
        let pdu = &arriving.received.pdu;
        Event {
            nid: arriving.nid,
            room_nid: self.head.room_nid,
            room_id: self.head.room_id.clone(),
            pos: around.pos,
            event_id: pdu.event_id.clone(),
            event_type: pdu.event_type.clone(),
            state_key: pdu.state_key.clone(),
            state_key_nid: arriving.key,
            sender: pdu.sender.clone(),
            origin_server_ts: pdu.origin_server_ts,
            depth: pdu.depth,
            membership: arriving.membership,
            state_before: around.before.state_nid(),
            state_after: around.after.state_nid(),
            replaces: arriving.key.and_then(|key| around.state_before.get(&key).copied()),
            redacts: around.redacting.target.as_ref().map(|target| target.nid),
            redacted_by: arriving.redacted_by,
            flags,
            notify_ordinal: self.head.notify_ordinal,
            transaction: None,
            json: pdu.json().into(),
            client_json: OnceLock::new(),
        }
    }
}
