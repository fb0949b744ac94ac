//! The events that a redaction of a local user may redact.

use std::sync::Arc;

use myelin_events::Pdu;
use myelin_model::Event;

use crate::{Draft, EventError};

impl Draft {
    /// The event that a redaction redacts, if its sender may: who has the power, or who sent it. Stricter than the auth rules, which let
    /// any user of a server redact what comes from that server. `None` for events that are no redactions, and for those of events that
    /// this server does not know, which only the powerful may send.
    pub(crate) async fn check_redaction(
        &mut self,
        pdu: &Pdu,
    ) -> Result<Option<Arc<Event>>, EventError> {
        if &*pdu.event_type != "m.room.redaction" {
            return Ok(None);
        }
        let Some(redacts) = &pdu.redacts else { return Ok(None) };
        let levels = self.power_levels().await?;
        let is_powerful = levels.user(&pdu.sender) >= levels.redact();
        let Some(redacted) = self.engine.db().events().find_by_id(redacts).await? else {
            return if is_powerful { Ok(None) } else { Err(EventError::RedactedNotFound) };
        };
        if redacted.room_nid != self.room_nid() {
            return Err(EventError::RedactedElsewhere);
        }
        match &*redacted.event_type {
            "m.room.create" => {
                return Err(EventError::RedactionForbidden(
                    "Redacting create events is not permitted",
                ));
            }
            "m.room.server_acl" => {
                return Err(EventError::RedactionForbidden(
                    "Redacting server ACL events is not permitted",
                ));
            }
            _ => {}
        }
        if is_powerful || redacted.sender == pdu.sender {
            return Ok(Some(redacted));
        }
        Err(EventError::RedactionForbidden("You don't have permission to redact events"))
    }
}
