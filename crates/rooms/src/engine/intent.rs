//! What a use case wants to send.

use myelin_model::Transaction;
use ruma::{EventId, OwnedEventId, UserId};

/// An event before it is built.
#[derive(Debug, Clone)]
pub(crate) struct Intent<'a> {
    /// Who sends it: a user of this server.
    pub(crate) sender: &'a UserId,
    /// The type.
    pub(crate) event_type: &'a str,
    /// The state key of a state event.
    pub(crate) state_key: Option<&'a str>,
    /// The content as JSON, in any spelling.
    pub(crate) content: &'a str,
    /// What a redaction redacts.
    pub(crate) redacts: Option<&'a EventId>,
    /// The client's transaction.
    pub(crate) transaction: Option<Transaction>,
    /// When it was sent, in milliseconds since the Unix epoch, where that is not now.
    pub(crate) origin_server_ts: Option<u64>,
}

impl<'a> Intent<'a> {
    /// A message event.
    pub(crate) fn message(sender: &'a UserId, event_type: &'a str, content: &'a str) -> Self {
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
    pub(crate) fn state(
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
pub(crate) struct Added {
    /// Its ID.
    pub(crate) event_id: OwnedEventId,
}
