//! The event that a use case wants to send.

use myelin_model::Transaction;
use ruma::{EventId, OwnedEventId, UserId};

/// An event before it is built.
#[derive(Debug, Clone)]
pub struct Intent<'a> {
    /// The user of this server who sends it.
    pub sender: &'a UserId,
    pub event_type: &'a str,
    /// The state key of a state event.
    pub state_key: Option<&'a str>,
    /// The content as JSON, in any spelling.
    pub content: &'a str,
    /// The event that a redaction redacts.
    pub redacts: Option<&'a EventId>,
    /// The transaction that the client sends it with. The same transaction again makes no second event.
    pub transaction: Option<Transaction>,
    /// The time at which it was sent, in milliseconds since the Unix epoch. `None`: now.
    pub origin_server_ts: Option<u64>,
}

impl<'a> Intent<'a> {
    /// A message event.
    pub fn message(sender: &'a UserId, event_type: &'a str, content: &'a str) -> Self {
        Self {
            sender,
            event_type,
            state_key: None,
            content,
            redacts: None,
            transaction: None,
            origin_server_ts: None,
        }
    }

    /// A state event.
    pub fn state(
        sender: &'a UserId,
        event_type: &'a str,
        state_key: &'a str,
        content: &'a str,
    ) -> Self {
        Self { state_key: Some(state_key), ..Self::message(sender, event_type, content) }
    }
}

/// An event that stands in a draft.
#[derive(Debug, Clone)]
pub struct Added {
    pub event_id: OwnedEventId,
}
