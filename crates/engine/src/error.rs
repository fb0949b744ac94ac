//! The reason why an event was not appended.

use std::sync::Arc;

use myelin_events::{BuildError, PduError, auth::AuthError};
use myelin_storage::StorageError;
use ruma::OwnedRoomAliasId;

use crate::policy::{RelationError, ShapeError};

/// The reason why no event was appended.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// This server does not know the room.
    #[error("Unknown room")]
    UnknownRoom,
    /// A redaction names nothing that it redacts.
    #[error("A redaction must name an event in 'redacts'")]
    RedactsNothing,
    /// The auth rules refuse the event.
    #[error("{0}")]
    Forbidden(#[from] AuthError),
    /// The event would be larger than an event may be, or one of its fields longer.
    #[error("{0}")]
    TooLarge(String),
    /// The content is no object of canonical JSON.
    #[error("{0}")]
    BadContent(String),
    /// A room is created once.
    #[error("Cannot send an m.room.create event into a room")]
    CreatedAlready,
    /// The content is not what events of this type must have.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// The relation of the event to another does not hold.
    #[error(transparent)]
    Relation(#[from] RelationError),
    /// An `m.room.canonical_alias` event names a text that is no alias.
    #[error("{0} is not a valid alias")]
    InvalidAlias(String),
    /// An alias that the room is to be known by does not exist, or names another room.
    #[error("Room alias {0} does not point to the room")]
    AliasOfOtherRoom(OwnedRoomAliasId),
    /// A call is announced in a public room, where nobody may be called.
    #[error("Calls are for rooms that are not public")]
    CallInPublicRoom,
    /// The redaction names one event in its content and another one beside it.
    #[error("The content names another event to redact than the request")]
    RedactsTwo,
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
    /// States differ in so much that they are not resolved.
    #[error("the states of the room differ in too much")]
    ConflictTooLarge,
    #[error("could not read or write the room")]
    Storage(#[source] Arc<StorageError>),
}

impl EventError {
    /// Whether nothing was decided: the same may be done later.
    pub fn is_failure(&self) -> bool {
        matches!(self, Self::Busy | Self::NotLoaded | Self::ConflictTooLarge | Self::Storage(_))
    }
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
