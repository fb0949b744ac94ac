//! The aliases that an `m.room.canonical_alias` event may name: those of the room.

use std::collections::BTreeSet;

use myelin_events::Pdu;
use ruma::RoomAliasId;
use serde::Deserialize;

use crate::{Draft, EventError};

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

impl Draft {
    /// Check the aliases that the event adds to those of the one that it takes the place of, under whatever state key.
    pub(super) async fn check_canonical_alias(&mut self, pdu: &Pdu) -> Result<(), EventError> {
        let current = match &pdu.state_key {
            Some(state_key) => self.find_state("m.room.canonical_alias", state_key).await?,
            None => None,
        };
        let known =
            current.map(|event| Content::read(event.pdu.content()).aliases()).unwrap_or_default();
        for text in Content::read(pdu.content()).aliases() {
            if known.contains(&text) {
                continue;
            }
            let Ok(alias) = <&RoomAliasId>::try_from(&*text) else {
                return Err(EventError::InvalidAlias(text));
            };
            let named = self.engine.db().aliases().find_room_nid(alias).await?;
            if named.is_none() || ![Some(self.room_nid()), self.heir_of].contains(&named) {
                return Err(EventError::AliasOfOtherRoom(alias.to_owned()));
            }
        }
        Ok(())
    }
}
