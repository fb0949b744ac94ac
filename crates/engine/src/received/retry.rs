//! Judging rejected events anew, when what spoke against them does not any more.
//!
//! What an event cites may have been rejected itself, and be taken back; the state before it may be another when an event comes that was
//! missing before it. One that is taken back is an end of the room, even where others follow it: their states do not have it, and so it
//! comes into the current state, by resolution.

use myelin_events::{Pdu, received::Received};
use myelin_model::{EventFlags, EventNid};
use myelin_storage::StorageError;
use ruma::{EventId, OwnedEventId};

use super::{Missing, Outcome, Place, ReceiveError, StateAt, Verdict};
use crate::Engine;

/// The number of rejected events that are judged anew because of one event. The others are when they are handed over again.
pub(super) const RETRIALS_MAX: u32 = 1_000;

impl Engine {
    /// Judge anew what was rejected because of how an event stood, and what was rejected because of that.
    pub(super) async fn retry_after(&self, event_id: &EventId) -> Result<(), ReceiveError> {
        let mut settled = vec![event_id.to_owned()];
        let mut left = RETRIALS_MAX;
        while let Some(event_id) = settled.pop() {
            let due = self.db().retrials().list_due(&event_id, left).await?;
            left = left.saturating_sub(u32::try_from(due.len()).unwrap_or(u32::MAX));
            for nid in due {
                settled.extend(self.retry(nid, &[]).await?.ok().flatten());
            }
        }
        Ok(())
    }

    /// Judge a rejected event anew. Gives its ID if it is taken back, or else what is missing for it.
    pub(super) async fn retry(
        &self,
        nid: EventNid,
        states: &[StateAt],
    ) -> Result<Result<Option<OwnedEventId>, Missing>, ReceiveError> {
        let events = self.db().events().find_judged(&[nid]).await?;
        let Some(event) = events.get(&nid) else { return Ok(Ok(None)) };
        let heads = self.db().heads().find_many(&[event.room_nid]).await?;
        let head = heads.get(&event.room_nid).ok_or(ReceiveError::UnknownRoom)?;
        let version = self.version_of(head)?;
        let pdu = Pdu::from_stored(event.event_id.clone(), event.json.clone(), version)
            .map_err(StorageError::foreign("events.json"))?;
        let place = match event.pos {
            Some(pos) if event.flags.contains(EventFlags::PAST) => Place::History(pos),
            Some(_) => Place::New,
            None => Place::Outlier,
        };
        let received = Received::stored(pdu).map_err(StorageError::foreign("events.json"))?;
        let (outcome, _) = self.take_in(&received, place, states).await?;
        Ok(match outcome {
            Outcome::Missing(missing) => Err(missing),
            Outcome::Judged(Verdict::Rejected(_) | Verdict::Undecided) => Ok(None),
            Outcome::Judged(
                Verdict::Appended
                | Verdict::RedactedAndAppended
                | Verdict::SoftFailed
                | Verdict::Backfilled
                | Verdict::Outlier,
            ) => Ok(Some(event.event_id.clone())),
        })
    }
}
