//! States that were told in part, and are told whole later.
//!
//! A server that is asked for a room's state may leave most members out at first, so that the answer comes soon. What is missing from
//! a part is not known: who may be banned is no member in it. So what follows it is kept undecided, and nobody is shown it.

use super::{Missing, ReceiveError, STATES_TOLD_EVENTS_MAX, StateAt, retry::RETRIALS_MAX};
use crate::Engine;

impl Engine {
    /// Judge anew what was not decided because these states were known in part, now that all of them are known. Gives what must be
    /// fetched before it can be judged.
    pub async fn complete_states(&self, states: &[StateAt]) -> Result<Missing, ReceiveError> {
        if states.iter().map(|told| told.state.len()).sum::<usize>() > STATES_TOLD_EVENTS_MAX {
            return Err(ReceiveError::TooMuchState);
        }
        let mut missing = Missing::default();
        for told in states {
            let waiting = self.db().retrials().list_waiting(&told.event_id, RETRIALS_MAX).await?;
            for nid in waiting {
                match self.retry(nid, states).await? {
                    Ok(Some(event_id)) => self.retry_after(&event_id).await?,
                    Ok(None) => {}
                    Err(more) => {
                        missing.prev_events.extend(more.prev_events);
                        missing.auth_events.extend(more.auth_events);
                    }
                }
            }
        }
        Ok(missing)
    }
}
