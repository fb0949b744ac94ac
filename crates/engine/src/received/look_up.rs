//! The stored events that have to do with a received one.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use myelin_events::{Pdu, RoomVersion, received::cited_events};
use myelin_model::{EventFlags, StreamPos};
use myelin_storage::{GraphEvent, Traces};
use ruma::{EventId, OwnedEventId};

use super::{Missing, Place, Rejection, Verdict, known_state};
use crate::{Draft, EventError, StateEvent};

/// The number of hidden events that are passed on the way from an event to those that it follows.
const HIDDEN_PASSED_MAX: usize = 1_000;

/// The stored events that have to do with another one.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The event itself.
    pub(super) own: Option<GraphEvent>,
    /// The events before it, and the forward extremities.
    pub(super) events: HashMap<OwnedEventId, GraphEvent>,
    /// The references to it from events that came before.
    pub(super) traces: Traces,
}

impl Draft {
    /// Whether an event follows exactly what is the end of the room here.
    pub(super) fn is_end(&self, pdu: &Pdu) -> bool {
        let extremities = &self.head.extremities;
        extremities.len() == pdu.prev_events.len()
            && extremities.iter().all(|one| pdu.prev_events.contains(&one.event_id))
    }

    /// Find what is stored that has to do with an event. It takes two queries.
    pub(super) async fn look_up(&self, pdu: &Pdu) -> Result<Found, EventError> {
        let graph = self.engine.db().graph();
        let extremities = self.head.extremities.iter().map(|one| &*one.event_id);
        let before = pdu.prev_events.iter().map(|id| &**id);
        let ids: Vec<&EventId> =
            std::iter::once(&*pdu.event_id).chain(before).chain(extremities).collect();
        let mut events = graph.find_many(&ids).await?;
        let own = events.remove(&pdu.event_id);
        let traces =
            graph.find_traces(self.room_nid(), &pdu.event_id, pdu.sender.server_name()).await?;
        Ok(Found { own, events, traces })
    }

    /// The events that an event follows. Hidden ones are never the end of a room, so that it follows what is before them, too. It takes
    /// two queries for each step back past hidden events: to be asked of what the room takes in alone.
    pub(super) async fn find_followed(
        &self,
        pdu: &Pdu,
        events: &HashMap<OwnedEventId, GraphEvent>,
    ) -> Result<HashSet<OwnedEventId>, EventError> {
        let mut followed: HashSet<OwnedEventId> = pdu.prev_events.iter().cloned().collect();
        let hidden = |event: &&GraphEvent| is_hidden(event.flags);
        let mut open: Vec<_> = pdu.prev_events.iter().filter_map(|id| events.get(id)).collect();
        open.retain(hidden);
        let mut open: Vec<GraphEvent> = open.into_iter().cloned().collect();
        let mut passed = 0;
        while !open.is_empty() && passed < HIDDEN_PASSED_MAX {
            passed += open.len();
            let nids: Vec<_> = open.iter().map(|event| event.nid).collect();
            let stored = self.engine.db().events().find_many(&nids).await?;
            let mut next: Vec<OwnedEventId> = Vec::new();
            for event in stored.values() {
                for id in before_of(event, self.version)? {
                    if followed.insert(id.clone()) {
                        next.push(id);
                    }
                }
            }
            let next: Vec<&EventId> = next.iter().map(|id| &**id).collect();
            open = self.engine.db().graph().find_many(&next).await?.into_values().collect();
            open.retain(|event| is_hidden(event.flags));
        }
        Ok(followed)
    }

    /// The events that an event is checked by before any state is. Those that are in memory as parts of the current state are not
    /// read.
    pub(super) async fn load_cited(
        &mut self,
        pdu: &Pdu,
    ) -> Result<Result<Vec<Arc<StateEvent>>, Missing>, EventError> {
        let wanted = known_state::wanted(pdu);
        let wanted: Vec<(&str, &str)> =
            wanted.iter().map(|(kind, key)| (*kind, key.as_str())).collect();
        self.load(&wanted).await?;
        let mut cited = Vec::new();
        let mut ids = cited_events(pdu);
        for (kind, key) in wanted {
            if let Some(event) = self.loaded(kind, key)?
                && let Some(at) = ids.iter().position(|id| *id == event.pdu.event_id)
            {
                ids.swap_remove(at);
                cited.push(Arc::clone(event));
            }
        }
        if ids.is_empty() {
            return Ok(Ok(cited));
        }
        let asked: Vec<&EventId> = ids.iter().map(|id| &**id).collect();
        let nids = self.engine.db().events().find_nids(&asked).await?;
        let missing: Vec<OwnedEventId> =
            ids.iter().filter(|id| !nids.contains_key(*id)).cloned().collect();
        if !missing.is_empty() {
            return Ok(Err(Missing { auth_events: missing, ..Missing::default() }));
        }
        let nids: Vec<_> = nids.into_values().collect();
        cited.extend(known_state::read_events(&self.engine, self.version, &nids).await?);
        Ok(Ok(cited))
    }
}

/// Whether an event is shown to nobody and never the end of a room.
fn is_hidden(flags: EventFlags) -> bool {
    flags.contains(EventFlags::REJECTED) || flags.contains(EventFlags::SOFT_FAILED)
}

fn before_of(
    event: &myelin_model::Event,
    version: RoomVersion,
) -> Result<Box<[OwnedEventId]>, EventError> {
    let pdu = Pdu::from_stored(event.event_id.clone(), event.json.clone(), version)
        .map_err(myelin_storage::StorageError::foreign("events.json"))?;
    Ok(pdu.prev_events)
}

impl Found {
    /// Whether an event before the one looked up is part of the room's history.
    pub(super) fn has(&self, event_id: &EventId) -> bool {
        self.events.get(event_id).is_some_and(|event| event.pos.is_some())
    }

    /// Whether an event before the one looked up is rejected.
    pub(super) fn is_rejected(&self, event_id: &EventId) -> bool {
        let event = self.events.get(event_id);
        event.is_some_and(|event| event.flags.contains(EventFlags::REJECTED))
    }
}

/// The verdict on an event when it came before. `None` if it is to be judged now: an outlier that finds its place, and what was not
/// decided.
pub(super) fn verdict_of(own: &GraphEvent, place: Place) -> Option<Verdict> {
    if own.pos.is_none() && place != Place::Outlier {
        return None;
    }
    if own.flags.contains(EventFlags::PARTIAL) {
        return None;
    }
    if own.flags.contains(EventFlags::REJECTED) {
        let reason = own.rejection.as_deref().unwrap_or_default();
        return Some(Verdict::Rejected(Rejection::Before(reason.to_owned())));
    }
    if own.flags.contains(EventFlags::SOFT_FAILED) {
        return Some(Verdict::SoftFailed);
    }
    Some(match own.pos {
        None => Verdict::Outlier,
        Some(pos) if pos < StreamPos::ZERO => Verdict::Backfilled,
        Some(_) => Verdict::Appended,
    })
}
