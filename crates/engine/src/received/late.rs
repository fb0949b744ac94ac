//! Redactions and what they redact, whichever comes first.

use std::sync::Arc;

use myelin_events::{Pdu, auth::may_redact};
use myelin_model::{Event, EventNid};
use myelin_storage::writer::LateRedaction;

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
}
