//! Redactions and what they redact, whichever comes first.

use std::sync::Arc;

use myelin_events::{Pdu, auth::may_redact};
use myelin_model::{Event, EventNid};
use myelin_storage::{Traces, writer::LateRedaction};

use super::{before::Before, known_state};
use crate::{Draft, EventError};

/// The effect of a redaction.
#[derive(Default)]
pub(super) struct Redacting {
    /// The event that it redacts.
    pub(super) target: Option<Arc<Event>>,
    /// The event that it will redact when that comes.
    pub(super) late: Option<LateRedaction>,
}

impl Draft {
    /// Find the event that an allowed event redacts, if it is a redaction, by the power levels before it.
    pub(super) async fn find_redacting(
        &mut self,
        nid: EventNid,
        pdu: &Pdu,
        before: &Before,
    ) -> Result<Redacting, EventError> {
        if &*pdu.event_type != "m.room.redaction" || pdu.state_key.is_some() {
            return Ok(Redacting::default());
        }
        let Some(target_id) = &pdu.redacts else { return Ok(Redacting::default()) };
        let levels = match before {
            Before::Current => self.power_levels().await?,
            Before::Other(other) => match known_state::levels(self.version, &other.known)? {
                Some(levels) => Arc::new(levels),
                None => return Ok(Redacting::default()),
            },
        };
        let Some(target) = self.engine.db().events().find_by_id(target_id).await? else {
            let is_powerful = levels.user(&pdu.sender) >= levels.redact();
            let late = LateRedaction { redaction: nid, target_id: target_id.clone(), is_powerful };
            return Ok(Redacting { late: Some(late), target: None });
        };
        let is_valid =
            target.room_nid == self.room_nid() && may_redact(&levels, &pdu.sender, &target.sender);
        Ok(Redacting { target: is_valid.then_some(target), late: None })
    }

    /// The redaction that came before what it redacts: this event.
    pub(super) async fn find_redacted_by(
        &self,
        pdu: &Pdu,
        traces: &Traces,
    ) -> Result<Option<EventNid>, EventError> {
        let nids: Vec<EventNid> = traces.redactions.iter().map(|(nid, _)| *nid).collect();
        if nids.is_empty() {
            return Ok(None);
        }
        let redactions = self.engine.db().events().find_many(&nids).await?;
        for (nid, is_powerful) in &traces.redactions {
            let redaction = redactions.get(nid).ok_or(EventError::NotLoaded)?;
            let is_valid = redaction.room_nid == self.room_nid()
                && (*is_powerful || redaction.sender.server_name() == pdu.sender.server_name());
            if is_valid {
                return Ok(Some(*nid));
            }
        }
        Ok(None)
    }
}
