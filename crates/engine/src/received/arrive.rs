//! The way of a received event through the checks.

use std::{sync::Arc, time::Duration};

use myelin_events::{
    Pdu,
    received::{Received, check_by_auth_events},
};
use myelin_model::EventFlags;
use myelin_storage::{
    GraphEvent, StorageError,
    writer::{Arrival, MissingEvent},
};

use super::{
    Attempt, Outcome, Place, ReceiveError, Rejection, StateAt, Verdict,
    before::{Before, NoState},
    look_up::{Found, verdict_of},
    place::{Around, Arriving},
};
use crate::{Draft, EventError, StateEvent, known::Slot, notify::notifies};

/// The time that what this node has queued for a room may take to be flushed, before others are let in between.
const SETTLE_MILLIS_MAX: u64 = 500;

impl Draft {
    /// Whether this node has queued events for the room that are not stored yet.
    pub(super) fn has_queued(&self) -> bool {
        self.tip.as_ref().is_some_and(|tip| tip.has_queued())
    }

    /// Wait until what this node has queued is stored: what follows older events than the newest must know their states. Nobody adds
    /// to the queue meanwhile, as the draft holds the room's lock.
    pub(super) async fn settle(self) -> Result<Self, EventError> {
        let (engine, room_nid) = (self.engine.clone(), self.head.room_nid);
        let mut applied = engine.db().log().watch();
        let limit = tokio::time::Instant::now() + Duration::from_millis(SETTLE_MILLIS_MAX);
        let mut draft = self;
        loop {
            draft = Self::open_locked(&engine, draft.tip, room_nid)
                .await?
                .ok_or(EventError::UnknownRoom)?;
            if !draft.has_queued() {
                return Ok(draft);
            }
            match tokio::time::timeout_at(limit, applied.changed()).await {
                Ok(Ok(())) => {}
                // Refused, perhaps: whoever queued it must have the lock to say so.
                Ok(Err(_)) | Err(_) => return Ok(draft),
            }
        }
    }

    /// Take a received event through the checks, and into the draft if it is to be appended.
    pub(super) async fn receive(
        &mut self,
        received: &Received,
        place: Place,
        states: &[StateAt],
        looks_up: bool,
    ) -> Result<Attempt, ReceiveError> {
        let pdu = &received.pdu;
        let found = match looks_up {
            true => Some(self.look_up(pdu).await?),
            false => None,
        };
        if let Some(own) = found.as_ref().and_then(|found| found.own.as_ref()) {
            if own.room_nid != self.room_nid() {
                return Err(ReceiveError::OtherRoom);
            }
            if let Some(verdict) = verdict_of(own, place)
                && !self.is_due(own).await?
            {
                return Ok(Attempt::Done(Outcome::Judged(verdict)));
            }
        }
        let copy = match found.as_ref().and_then(|found| found.own.as_ref()) {
            Some(own) => Some(self.find_copy(received, own).await?),
            None => None,
        };
        let received = copy.as_ref().unwrap_or(received);
        let pdu = &received.pdu;
        let cited = match self.load_cited(pdu).await? {
            Ok(cited) => cited,
            Err(missing) => return Ok(Attempt::Done(Outcome::Missing(missing))),
        };
        let entitling: Vec<_> = cited.iter().map(|event| &event.pdu).collect();
        let by_citations = check_by_auth_events(pdu, &entitling)
            .map_err(|error| Rejection::AuthEvents(error.to_string()));
        if let (Err(rejection), Place::New | Place::History(_)) = (&by_citations, place)
            && self.knows_all_before(pdu, found.as_ref())
        {
            let verdict = Verdict::Rejected(rejection.clone());
            let arriving = self.number(received, cited, found).await?;
            let around = Around { pos: place.position(), ..Around::default() };
            return Ok(self.keep(arriving, Some(around), verdict).await?);
        }
        let before = match place {
            Place::New | Place::History(_) => self.find_before(pdu, found.as_ref(), states).await?,
            Place::Outlier => Err(NoState::Outlier),
        };
        let by_citations = match (&before, by_citations) {
            (Err(NoState::OtherRoom), Ok(())) => {
                Err(Rejection::StateBefore("an event before it is of another room".to_owned()))
            }
            (Err(NoState::TooFar), Ok(())) => {
                Err(Rejection::StateBefore("it follows too many rejected events".to_owned()))
            }
            (_, by_citations) => by_citations,
        };
        match (before, by_citations) {
            (Ok(before), by_citations) => {
                let arriving = self.number(received, cited, found).await?;
                Ok(self.judge(arriving, place, before, by_citations).await?)
            }
            (Err(NoState::Partial), by_citations) => {
                let arriving = self.number(received, cited, found).await?;
                let verdict = by_citations.map_or_else(Verdict::Rejected, |()| Verdict::Undecided);
                let around = Around { pos: place.position(), ..Around::default() };
                Ok(self.keep(arriving, Some(around), verdict).await?)
            }
            // What is rejected needs a place, too: others may follow it.
            (Err(NoState::Missing(missing)), _) => Ok(Attempt::Done(Outcome::Missing(missing))),
            (Err(NoState::OtherRoom | NoState::TooFar | NoState::Outlier), by_citations) => {
                let arriving = self.number(received, cited, found).await?;
                let verdict = by_citations.map_or_else(Verdict::Rejected, |()| Verdict::Outlier);
                Ok(self.keep(arriving, None, verdict).await?)
            }
        }
    }

    /// The copy of an event to go on with where one is stored.
    async fn find_copy(
        &self,
        received: &Received,
        own: &GraphEvent,
    ) -> Result<Received, EventError> {
        let stored = self.engine.db().events().find_judged(&[own.nid]).await?;
        let stored = stored.get(&own.nid).ok_or(EventError::NotLoaded)?;
        let (id, json) = (stored.event_id.clone(), stored.json.clone());
        let copy = Pdu::from_stored(id, json, self.version)
            .and_then(|stored| received.clone().or_stored(stored));
        Ok(copy.map_err(StorageError::foreign("events.json"))?)
    }

    /// Whether all events before an event are part of this room's history here.
    fn knows_all_before(&self, pdu: &Pdu, found: Option<&Found>) -> bool {
        let Some(found) = found else { return true };
        let is_here = |id| {
            let event = found.events.get(id);
            event.is_some_and(|event| event.pos.is_some() && event.room_nid == self.room_nid())
        };
        pdu.prev_events.iter().all(is_here)
    }

    /// Whether an event that is rejected is to be judged anew.
    async fn is_due(&self, own: &GraphEvent) -> Result<bool, StorageError> {
        if !own.flags.contains(EventFlags::REJECTED) {
            return Ok(false);
        }
        self.engine.db().retrials().is_due(own.nid).await
    }

    /// Check an event against the state before it.
    async fn judge(
        &mut self,
        arriving: Arriving<'_>,
        place: Place,
        mut before: Before,
        by_citations: Result<(), Rejection>,
    ) -> Result<Attempt, EventError> {
        let by_state = self.check_before(&arriving.received.pdu, &mut before).await?;
        let by_state = by_state.map_err(|error| Rejection::StateBefore(error.to_string()));
        match by_citations.and(by_state) {
            Ok(()) => match place {
                Place::History(_) => self.take_history(arriving, place, before).await,
                Place::New | Place::Outlier => self.admit(arriving, before).await,
            },
            Err(rejection) => {
                let mut around = self.find_around(&arriving, before, false).await?;
                around.pos = place.position();
                self.keep(arriving, Some(around), Verdict::Rejected(rejection)).await
            }
        }
    }

    /// Keep an allowed event as a part of the history from before the log.
    async fn take_history(
        &mut self,
        arriving: Arriving<'_>,
        place: Place,
        before: Before,
    ) -> Result<Attempt, EventError> {
        let pdu = &arriving.received.pdu;
        let redacting = self.find_redacting(arriving.nid, pdu, &before).await?;
        let around = self.find_around(&arriving, before, true).await?;
        let around = Around { pos: place.position(), redacting, ..around };
        self.keep(arriving, Some(around), Verdict::Backfilled).await
    }

    /// Find the place of an event that is allowed where it stands: in the draft, unless it is not allowed any more.
    async fn admit(
        &mut self,
        arriving: Arriving<'_>,
        before: Before,
    ) -> Result<Attempt, EventError> {
        let pdu = &arriving.received.pdu;
        let is_allowed_now = self.check_now(pdu, &before).await?.is_ok();
        if !is_allowed_now {
            let around = self.find_around(&arriving, before, true).await?;
            return self.keep(arriving, Some(around), Verdict::SoftFailed).await;
        }
        let redacting = self.find_redacting(arriving.nid, pdu, &before).await?;
        let around = self.find_around(&arriving, before, true).await?;
        let verdict = match arriving.received.is_redacted {
            true => Verdict::RedactedAndAppended,
            false => Verdict::Appended,
        };
        self.take_received(arriving, Around { redacting, ..around }).await?;
        Ok(Attempt::Append(verdict))
    }

    /// Take an event into the draft.
    async fn take_received(
        &mut self,
        arriving: Arriving<'_>,
        mut around: Around,
    ) -> Result<(), EventError> {
        let pdu = &arriving.received.pdu;
        let flags = self.grow(&arriving, &around).await?;
        self.built_on.state_nid = None;
        self.snapshots.append(&mut around.snapshots);
        if arriving.key.is_some() && !self.has_place(&arriving).await? {
            self.note_auth_events(arriving.nid, &arriving.auth_events()).await?;
        }
        if let Some(target) = &around.redacting.target {
            self.redact(arriving.nid, target)?;
        }
        if notifies(&pdu.event_type, arriving.key.is_some(), pdu.content()) {
            self.head.notify_ordinal += 1;
        }
        self.events.push(self.to_event(&arriving, &around, flags));
        self.arrivals.push(Arrival {
            event_nid: arriving.nid,
            event_id: pdu.event_id.clone(),
            known: arriving.known(),
        });
        self.late_redactions.extend(around.redacting.late);
        let missing = arriving.missing().into_iter();
        let missing = missing.map(|event_id| MissingEvent { follower: arriving.nid, event_id });
        self.missing.extend(missing);
        if let (Some(key), Some(state_key)) = (arriving.key, &pdu.state_key)
            && self.head.state.get(&key) == Some(&arriving.nid)
        {
            let is_redacted = arriving.redacted_by.is_some();
            let event = self.events.last().ok_or(EventError::NotLoaded)?;
            let event = Arc::new(StateEvent::read(event, self.version, is_redacted)?);
            self.set.insert(&pdu.event_type, state_key, Slot::Event { key, event });
        }
        Ok(())
    }
}
