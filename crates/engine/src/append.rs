//! Appending a draft: queue it under the room's lock, wait for the flush without it.

use std::sync::Arc;

use myelin_model::{EventNid, RoomNid};
use myelin_storage::{Append, AppendError, Appended, StorageError};
use ruma::OwnedEventId;
use tokio::sync::OwnedMutexGuard;

use crate::{Draft, Engine, EventError, tip::Tip};

/// The reason why a draft was not appended.
#[derive(Debug)]
pub enum Refused {
    /// Another node was quicker, or a transaction is taken: begin anew.
    Conflict,
    /// The append failed, and would fail again.
    Failed(EventError),
}

impl Draft {
    /// Append the events; returns when they are flushed and applied on this node. A draft without events must not be appended.
    pub async fn append(mut self) -> Result<Appended, Refused> {
        let event_nids: Vec<EventNid> = self.events.iter().map(|event| event.nid).collect();
        // What came from another server may have come to another node, too, with another outcome.
        let own = self.events.last().filter(|_| self.arrivals.is_empty());
        let last_id = own.map(|event| event.event_id.clone());
        // Taken out while the queue may keep us waiting: should the caller go away, the next draft begins from the stored head.
        let mut tip = self.tip.take();
        let (mut places, mut links) = (Vec::new(), Vec::new());
        if let Some(tip) = tip.as_mut() {
            for (nid, auth_nids) in &self.auth_events {
                let covered = tip.chains.add(*nid, auth_nids);
                places.push(covered.place);
                links.extend(covered.links);
            }
        }
        let has_resets = !self.resets.is_empty();
        let mut built_on = self.built_on;
        if !self.annotations.is_empty() {
            // Another node may have said the same in what came in between, so nothing may have.
            built_on.state_nid = None;
        }
        let append = Append {
            built_on,
            head: Arc::new(self.head.clone()),
            events: std::mem::take(&mut self.events),
            snapshots: std::mem::take(&mut self.snapshots),
            memberships: std::mem::take(&mut self.memberships),
            departures: std::mem::take(&mut self.departures),
            arrivals: std::mem::take(&mut self.arrivals),
            late_redactions: std::mem::take(&mut self.late_redactions),
            missing: std::mem::take(&mut self.missing),
            outside: std::mem::take(&mut self.outside),
            resets: std::mem::take(&mut self.resets),
            places,
            links,
            now_ms: self.engine.now_ms(),
        };
        let (engine, room_nid) = (self.engine.clone(), self.head.room_nid);
        let queued = match engine.db().writer().queue(append).await {
            Ok(queued) => queued,
            Err(error) => return Err(failed(error)),
        };
        let generation = tip.as_ref().map_or(0, |tip| tip.generation);
        if let Some(tip) = tip.as_mut() {
            if has_resets {
                tip.known.retain_state(&self.head.state);
            }
            tip.known.merge(std::mem::take(&mut self.set));
            tip.redactions.append(&mut self.redactions);
            tip.annotations.append(&mut self.annotations);
            tip.advance(self.head, event_nids);
        }
        let size_bytes = tip.as_ref().map(Tip::size_bytes);
        *self.tip = tip;
        if let Some(size_bytes) = size_bytes {
            engine.tips().weigh(room_nid, OwnedMutexGuard::mutex(&self.tip), size_bytes);
        }
        drop(self.tip);

        match queued.wait().await {
            Ok(appended) => Ok(appended),
            Err(error) => {
                drop_tip(&engine, room_nid, generation).await;
                match error {
                    AppendError::Conflict => match find_appended(&engine, last_id).await {
                        Ok(Some(appended)) => Ok(appended),
                        Ok(None) => Err(Refused::Conflict),
                        Err(error) => Err(Refused::Failed(error.into())),
                    },
                    AppendError::Storage(_) => Err(failed(error)),
                }
            }
        }
    }
}

impl From<EventError> for Refused {
    fn from(error: EventError) -> Self {
        Self::Failed(error)
    }
}

/// The tip holds what will never be stored: have the next draft begin from the stored head.
async fn drop_tip(engine: &Engine, room_nid: RoomNid, generation: u64) {
    let mut tip = engine.tips().of(room_nid).lock_owned().await;
    if tip.as_ref().is_some_and(|tip| tip.generation == generation) {
        *tip = None;
        // What the log has brought so far is older than what the database refused.
        engine.db().heads().forget(room_nid);
    }
}

/// A batch whose answer was lost is repeated, and is refused then although it was appended.
async fn find_appended(
    engine: &Engine,
    last_id: Option<OwnedEventId>,
) -> Result<Option<Appended>, StorageError> {
    let Some(last_id) = last_id else { return Ok(None) };
    let Some(event) = engine.db().events().find_by_id(&last_id).await? else { return Ok(None) };
    let Some(pos) = event.pos else { return Ok(None) };
    Ok(Some(Appended { events: vec![event], pos }))
}

fn failed(error: AppendError) -> Refused {
    Refused::Failed(match error {
        AppendError::Conflict => EventError::Busy,
        AppendError::Storage(error) => EventError::Storage(error),
    })
}
