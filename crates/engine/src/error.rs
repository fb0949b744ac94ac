//! Why an event was not appended.

use std::sync::Arc;

use myelin_events::{BuildError, PduError, auth::AuthError};
use myelin_storage::StorageError;

/// Why no event was appended.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// This server does not know the room.
    #[error("Unknown room")]
    UnknownRoom,
    /// The auth rules refuse the event.
    #[error("{0}")]
    Forbidden(#[from] AuthError),
    /// The event would be larger than an event may be, or one of its fields longer.
    #[error("{0}")]
    TooLarge(String),
    /// The content is no object of canonical JSON.
    #[error("{0}")]
    BadContent(String),
    /// The redaction is of an event that is not there.
    #[error("Could not find the event to redact")]
    RedactedNotFound,
    /// The redaction is not allowed.
    #[error("{0}")]
    RedactionForbidden(&'static str),
    /// The redaction is of an event in another room.
    #[error("Cannot redact event from a different room")]
    RedactedElsewhere,
    /// Others wrote into the room again and again.
    #[error("the room is too busy")]
    Busy,
    /// A part of the state that decides is not known: nothing is decided without it.
    #[error("a part of the room's state could not be read")]
    NotLoaded,
    /// The database failed.
    #[error("could not read or write the room")]
    Storage(#[source] Arc<StorageError>),
}

impl From<StorageError> for EventError {
    fn from(error: StorageError) -> Self {
        Self::Storage(Arc::new(error))
    }
}

impl From<BuildError> for EventError {
    fn from(error: BuildError) -> Self {
        match error {
            BuildError::TooLarge { .. } | BuildError::Field(PduError::FieldTooLong { .. }) => {
                Self::TooLarge(error.to_string())
            }
            BuildError::Content(_) | BuildError::ContentNotObject | BuildError::Field(_) => {
                Self::BadContent(error.to_string())
            }
        }
    }
}
