//! What an `m.room.canonical_alias` event may name.

use std::collections::BTreeSet;

use myelin_engine::Draft;
use myelin_storage::StorageError;
use ruma::{OwnedRoomAliasId, RoomAliasId};
use serde::Deserialize;

use crate::EventError;

/// Why the aliases do not hold.
#[derive(Debug, thiserror::Error)]
pub enum CanonicalAliasError {
    /// A text is no alias.
    #[error("{0} is not a valid alias")]
    Invalid(String),
    /// The alias does not exist, or names another room.
    #[error("Room alias {0} does not point to the room")]
    NotOfRoom(OwnedRoomAliasId),
    /// The database failed.
    #[error(transparent)]
    Event(#[from] EventError),
}

impl From<StorageError> for CanonicalAliasError {
    fn from(error: StorageError) -> Self {
        Self::Event(error.into())
    }
}

#[derive(Deserialize, Default)]
struct Content {
    alias: Option<serde_json::Value>,
    alt_aliases: Option<serde_json::Value>,
}

impl Content {
    fn read(content: &str) -> Self {
        serde_json::from_str(content).unwrap_or_default()
    }

    /// All aliases in it as they are written; what is no text is written as JSON.
    fn aliases(self) -> BTreeSet<String> {
        let alternatives = match self.alt_aliases {
            Some(serde_json::Value::Array(aliases)) => aliases,
            Some(serde_json::Value::Null) | None => Vec::new(),
            Some(other) => vec![other],
        };
        let texts = self.alias.into_iter().chain(alternatives).filter_map(|alias| match alias {
            serde_json::Value::String(alias) if alias.is_empty() => None,
            serde_json::Value::String(alias) => Some(alias),
            serde_json::Value::Null => None,
            other => Some(other.to_string()),
        });
        texts.collect()
    }
}

/// Check the aliases that the content adds to those of the current event.
pub(crate) async fn check(draft: &mut Draft, content: &str) -> Result<(), CanonicalAliasError> {
    let current = draft.find_state("m.room.canonical_alias", "").await?;
    let known =
        current.map(|event| Content::read(event.pdu.content()).aliases()).unwrap_or_default();
    for text in Content::read(content).aliases() {
        if known.contains(&text) {
            continue;
        }
        let Ok(alias) = <&RoomAliasId>::try_from(&*text) else {
            return Err(CanonicalAliasError::Invalid(text));
        };
        let found = draft.find_alias(alias).await?;
        if found != Some(draft.room_nid()) {
            return Err(CanonicalAliasError::NotOfRoom(alias.to_owned()));
        }
    }
    Ok(())
}
