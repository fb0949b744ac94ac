//! Deleting an alias.

use myelin_model::ActiveActor;
use myelin_storage::StorageError;
use ruma::{OwnedRoomId, RoomAliasId};
use serde_json::{Map, Value};

use crate::{
    EventError, Rooms,
    set_state::{NewState, set_state},
};

/// The reason why an alias was not deleted.
#[derive(Debug, thiserror::Error)]
pub enum DeleteAliasError {
    /// There is no such alias.
    #[error("Unknown room alias")]
    NotFound,
    /// The user neither made it nor has power in the room.
    #[error("You don't have permission to delete the alias.")]
    Forbidden,
    #[error("could not delete the alias")]
    Event(#[from] EventError),
}

impl From<StorageError> for DeleteAliasError {
    fn from(error: StorageError) -> Self {
        Self::Event(error.into())
    }
}

/// Delete an alias of this server, and take it out of the room's canonical alias event where the user may.
#[tracing::instrument(name = "rooms.alias.delete", skip_all, fields(room.alias = %alias))]
pub async fn delete(
    rooms: &Rooms,
    actor: ActiveActor<'_>,
    alias: &RoomAliasId,
) -> Result<OwnedRoomId, DeleteAliasError> {
    let found = rooms.db().aliases().find(alias).await?.ok_or(DeleteAliasError::NotFound)?;
    if found.creator != actor.user_id && !actor.is_admin() {
        let mut draft = rooms.engine().get_draft(&found.room_id).await?;
        let levels = draft.power_levels().await?;
        let is_joined =
            draft.membership(&actor.user_id).await? == Some(myelin_model::Membership::Join);
        if !is_joined || !levels.may_send(&actor.user_id, "m.room.canonical_alias", true) {
            return Err(DeleteAliasError::Forbidden);
        }
    }
    let mut tx = rooms.db().begin().await?;
    if !tx.aliases().delete(alias).await? {
        return Err(DeleteAliasError::NotFound);
    }
    tx.commit().await?;
    if let Err(error) = update_canonical(rooms, actor, &found.room_id, alias).await {
        tracing::info!(
            error = &error as &dyn std::error::Error,
            "the canonical alias event still names the alias"
        );
    }
    Ok(found.room_id)
}

async fn update_canonical(
    rooms: &Rooms,
    actor: ActiveActor<'_>,
    room_id: &OwnedRoomId,
    alias: &RoomAliasId,
) -> Result<(), EventError> {
    let mut draft = rooms.engine().get_draft(room_id).await?;
    let current = draft.find_state("m.room.canonical_alias", "").await?;
    drop(draft);
    let Some(current) = current else { return Ok(()) };
    let mut content: Map<String, Value> = current.pdu.content_as().unwrap_or_default();
    let mut is_changed = false;
    if content.get("alias").and_then(Value::as_str) == Some(alias.as_str()) {
        content.remove("alias");
        is_changed = true;
    }
    if let Some(Value::Array(aliases)) = content.get_mut("alt_aliases") {
        let before = aliases.len();
        aliases.retain(|other| other.as_str() != Some(alias.as_str()));
        is_changed |= aliases.len() < before;
        if aliases.is_empty() {
            content.remove("alt_aliases");
        }
    }
    if !is_changed {
        return Ok(());
    }
    let content = Value::Object(content).to_string();
    let new = NewState {
        room_id,
        event_type: "m.room.canonical_alias",
        state_key: "",
        content: &content,
        origin_server_ts: None,
    };
    set_state(rooms, actor, new).await?;
    Ok(())
}
