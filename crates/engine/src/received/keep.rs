//! Keeping an event beside the log.

use std::collections::HashMap;

use myelin_model::{EventFlags, EventNid};
use myelin_storage::{
    Awaited, KeptEvent,
    writer::{ChainLink, ChainPlace, Known},
};

use super::{
    Attempt, Outcome, Verdict,
    place::{Around, Arriving},
};
use crate::{Draft, EventError};

impl Draft {
    /// Keep an event beside the log: what failed the checks, and what is part of no history. A rejected event is without a place where
    /// the state before it is not known.
    pub(super) async fn keep(
        &self,
        arriving: Arriving<'_>,
        around: Option<Around>,
        verdict: Verdict,
    ) -> Result<Attempt, EventError> {
        let known = arriving.known().unwrap_or(Known::Nothing);
        let awaited = match verdict {
            Verdict::Rejected(_) | Verdict::Undecided => awaited(&arriving, around.is_none()),
            Verdict::Appended
            | Verdict::RedactedAndAppended
            | Verdict::SoftFailed
            | Verdict::Backfilled
            | Verdict::Outlier => Vec::new(),
        };
        if matches!(known, Known::Stored { pos: Some(_) }) && arriving.is_known_as(&verdict) {
            // It is rejected again, or still not decided.
            let mut tx = self.engine.db().begin().await?;
            tx.retrials().set(arriving.nid, &awaited).await?;
            tx.commit().await?;
            return Ok(Attempt::Done(Outcome::Judged(verdict)));
        }
        let kept = self.to_kept(&arriving, around, &verdict, awaited).await?;
        let mut tx = self.engine.db().begin().await?;
        if !tx.kept_events().add(&kept).await? {
            // The log has not brought yet what another node did.
            self.engine.db().heads().forget(self.room_nid());
            return Ok(Attempt::Refused);
        }
        tx.commit().await?;
        Ok(Attempt::Done(Outcome::Judged(verdict)))
    }

    /// The event as it is kept, with what is derived from it.
    async fn to_kept(
        &self,
        arriving: &Arriving<'_>,
        around: Option<Around>,
        verdict: &Verdict,
        awaited: Vec<Awaited>,
    ) -> Result<KeptEvent, EventError> {
        let is_outlier = around.is_none();
        let mut around = around.unwrap_or_default();
        let (mut flags, rejection) = match verdict {
            Verdict::Rejected(rejection) => (EventFlags::REJECTED, Some(rejection.to_string())),
            Verdict::SoftFailed => (EventFlags::SOFT_FAILED, None),
            Verdict::Undecided => (EventFlags::REJECTED.with(EventFlags::PARTIAL), None),
            Verdict::Appended
            | Verdict::RedactedAndAppended
            | Verdict::Backfilled
            | Verdict::Outlier => (EventFlags::NONE, None),
        };
        if is_outlier {
            flags = flags.with(EventFlags::OUTLIER);
        } else if around.pos.is_some() {
            flags = flags.with(EventFlags::PAST);
        }
        // What is hidden is no part of the history, whatever it follows.
        let is_history = *verdict == Verdict::Backfilled;
        let missing = if is_history { arriving.missing() } else { Vec::new() };
        let (mut place, mut links) = (None, Vec::new());
        let takes_part = arriving.key.is_some() && !flags.contains(EventFlags::REJECTED);
        if takes_part && !self.has_place(arriving).await? {
            (place, links) = self.find_place(arriving).await?;
        }
        Ok(KeptEvent {
            event: self.to_event(arriving, &around, flags),
            is_outlier,
            judged_by: self.head.newest.filter(|_| !is_outlier && !is_history),
            known: arriving.known().unwrap_or(Known::Nothing),
            rejection,
            awaited,
            snapshots: std::mem::take(&mut around.snapshots),
            place,
            links,
            missing,
            late_redaction: around.redacting.late.take(),
            received_ts: self.engine.now_ms(),
        })
    }

    /// Whether an event that was kept before stands in the chain cover already.
    pub(super) async fn has_place(&self, arriving: &Arriving<'_>) -> Result<bool, EventError> {
        let is_stored = arriving.found.as_ref().is_some_and(|found| found.own.is_some());
        if !is_stored {
            return Ok(false);
        }
        let places = self.engine.db().auth_chains().list_positions(&[arriving.nid]).await?;
        Ok(places.contains_key(&arriving.nid))
    }

    /// A place in the chain cover that no other node can be giving out at the same time: the first of a chain of the event's own.
    async fn find_place(
        &self,
        arriving: &Arriving<'_>,
    ) -> Result<(Option<ChainPlace>, Vec<ChainLink>), EventError> {
        let nids: Vec<EventNid> = arriving.auth_events().iter().map(|event| event.nid).collect();
        let mut targets: HashMap<EventNid, i32> = HashMap::new();
        for position in self.engine.db().auth_chains().list_positions(&nids).await?.into_values() {
            let seq = targets.entry(position.chain_nid).or_insert(position.seq);
            *seq = position.seq.max(*seq);
        }
        let place = ChainPlace { event_nid: arriving.nid, chain_nid: arriving.nid, seq: 1 };
        let link = |(target_chain_nid, target_seq)| ChainLink {
            chain_nid: arriving.nid,
            seq: 1,
            target_chain_nid,
            target_seq,
        };
        Ok((Some(place), targets.into_iter().map(link).collect()))
    }
}

/// The events that speak against one that is rejected: such as it cites or follows and that are rejected themselves, and those that are
/// missing before it.
fn awaited(arriving: &Arriving<'_>, is_outlier: bool) -> Vec<Awaited> {
    let cited = arriving.cited.iter().filter(|event| event.pdu.rejected);
    let cited = cited.map(|event| &event.pdu.event_id).cloned();
    let mut awaited: Vec<Awaited> =
        cited.map(|event_id| Awaited { event_id, is_missing: false }).collect();
    let Some(found) = arriving.found.as_ref().filter(|_| !is_outlier) else { return awaited };
    for event_id in &arriving.received.pdu.prev_events {
        let is_missing = !found.has(event_id);
        if is_missing || found.is_rejected(event_id) {
            awaited.push(Awaited { event_id: event_id.clone(), is_missing });
        }
    }
    awaited
}
