//! The policy of this server: what it asks of an event besides the auth rules, whatever way it comes in. Other servers
//! may send what they like as long as the auth rules allow it; what is refused here would be of no use to anybody, or
//! do harm.

mod canonical_alias;
mod relation;
mod shape;

use myelin_events::{Pdu, acl::ServerAcl, auth::JoinRule};
use serde_json::Value;

pub(crate) use self::relation::Annotation;
pub use self::{relation::RelationError, shape::ShapeError};
use crate::{Draft, EventError, Intent};

impl Draft {
    /// Check the policy as far as it can be told before the event is built.
    pub(crate) fn check_intent(&self, intent: &Intent<'_>) -> Result<(), EventError> {
        if intent.event_type == "m.room.create" && self.head.newest.is_some() {
            return Err(EventError::CreatedAlready);
        }
        // Other servers choke on a redaction of nothing.
        let is_redaction = intent.event_type == "m.room.redaction" && intent.state_key.is_none();
        if is_redaction && intent.redacts.is_none() {
            return Err(EventError::RedactsNothing);
        }
        if let Some(redacts) = intent.redacts
            && self.version.redacts_in_content()
            && redacts_of(intent.content).is_some_and(|other| other != redacts.as_str())
        {
            return Err(EventError::RedactsTwo);
        }
        Ok(())
    }

    /// Check the policy as far as the event itself tells it.
    pub(crate) fn check_shape(&self, pdu: &Pdu) -> Result<(), EventError> {
        shape::check(pdu)?;
        if &*pdu.event_type == "m.room.server_acl"
            && !ServerAcl::parse(pdu.content()).allows(self.engine.server_name())
        {
            return Err(ShapeError::AclDeniesSelf.into());
        }
        Ok(())
    }

    /// Check the policy as far as it depends on the room, its aliases and its events. Gives the annotation, if the
    /// event is one. Reads nothing for most messages.
    pub(crate) async fn check_circumstances(
        &mut self,
        pdu: &Pdu,
    ) -> Result<Option<Annotation>, EventError> {
        match (&*pdu.event_type, pdu.state_key.as_deref()) {
            ("m.room.canonical_alias", _) => self.check_canonical_alias(pdu).await?,
            ("m.call.invite", None) => {
                let rule = self.find_state("m.room.join_rules", "").await?;
                if rule.is_some_and(|rule| JoinRule::parse(rule.pdu.content()) == JoinRule::Public)
                {
                    return Err(EventError::CallInPublicRoom);
                }
            }
            _ => {}
        }
        self.check_relation(pdu).await
    }
}

/// The `redacts` of a content: the text, or another value as JSON. `None` if there is none.
fn redacts_of(content: &str) -> Option<String> {
    // Of a key that stands twice the last one counts, as in the event.
    let content: Value = serde_json::from_str(content).ok()?;
    match content.get("redacts")? {
        Value::Null => None,
        Value::String(redacts) => Some(redacts.clone()),
        other => Some(other.to_string()),
    }
}
