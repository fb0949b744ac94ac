//! Deleting an alias.

use myelin_engine::{Attempts, Draft, Intent, Refused};
use myelin_model::{ActiveActor, Actor, Membership};
use myelin_storage::{Alias, StorageError, WorkKind};
use ruma::{OwnedRoomId, RoomAliasId, UserId};
use serde_json::{Map, Value};

use super::namespace::{self, NamespaceError};
use crate::{EventError, Rooms, unfinished};

/// The reason why an alias was not deleted.
#[derive(Debug, thiserror::Error)]
pub enum DeleteAliasError {
    /// There is no such alias.
    #[error("Unknown room alias")]
    NotFound,
    /// The user neither made it nor has power in the room.
    #[error("You don't have permission to delete the alias.")]
    Forbidden,
    /// The alias is in a namespace that is not the actor's.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    #[error("could not delete the alias")]
    Event(#[from] EventError),
}

impl From<StorageError> for DeleteAliasError {
    fn from(error: StorageError) -> Self {
        Self::Event(error.into())
    }
}

/// Delete an alias of this server, and take it out of the room's canonical alias event where the user may. An application service may
/// delete all aliases in its namespaces, whoever made them.
#[tracing::instrument(name = "rooms.alias.delete", skip_all, fields(room.alias = %alias))]
pub async fn delete(
    rooms: &Rooms,
    actor: ActiveActor<'_>,
    alias: &RoomAliasId,
) -> Result<OwnedRoomId, DeleteAliasError> {
    let is_appservice = actor.appservice_id().is_some();
    if is_appservice {
        namespace::check(rooms, &actor, alias)?;
    }
    let found = rooms.db().aliases().find(alias).await?.ok_or(DeleteAliasError::NotFound)?;
    if !is_appservice {
        if !may_delete(rooms, &actor, &found).await? {
            return Err(DeleteAliasError::Forbidden);
        }
        namespace::check(rooms, &actor, alias)?;
    }
    let mut tx = rooms.db().begin().await?;
    if !tx.aliases().delete(alias).await? {
        return Err(DeleteAliasError::NotFound);
    }
    let subject = format!("{} {alias} {}", found.room_id, actor.user_id);
    let work = tx.unfinished_work().add(WorkKind::DropAlias, &subject, rooms.now_ms()).await?;
    tx.commit().await?;
    let done = try_update_canonical(rooms, actor, &found.room_id, alias).await;
    unfinished::end(rooms, &work, done).await;
    Ok(found.room_id)
}

/// Take an alias that was deleted out of a room's canonical alias event. `subject` is what was written down with the deletion.
pub(crate) async fn drop_from_room(rooms: &Rooms, subject: &str) -> Result<(), EventError> {
    let mut parts = subject.splitn(3, ' ');
    let mut part = || parts.next().unwrap_or_default();
    let ids = (OwnedRoomId::try_from(part()), RoomAliasId::parse(part()), UserId::parse(part()));
    let (Ok(room_id), Ok(alias), Ok(user_id)) = ids else {
        let unreadable = StorageError::foreign("unfinished_work.subject");
        return Err(unreadable("no room, alias and user").into());
    };
    let actor = Actor::server(user_id);
    match actor.active() {
        Ok(actor) => try_update_canonical(rooms, actor, &room_id, &alias).await,
        Err(_) => Ok(()),
    }
}

/// A room that refuses keeps the alias in its event, which is logged.
async fn try_update_canonical(
    rooms: &Rooms,
    actor: ActiveActor<'_>,
    room_id: &OwnedRoomId,
    alias: &RoomAliasId,
) -> Result<(), EventError> {
    match update_canonical(rooms, actor, room_id, alias).await {
        Err(error) if !error.is_failure() => {
            tracing::info!(
                error = &error as &dyn std::error::Error,
                "the canonical alias event still names the alias"
            );
            Ok(())
        }
        done => done,
    }
}

/// Whether the user made the alias, is an admin, or has power in the room.
async fn may_delete(rooms: &Rooms, actor: &Actor, alias: &Alias) -> Result<bool, EventError> {
    if alias.creator == actor.user_id || actor.is_admin() {
        return Ok(true);
    }
    let mut draft = rooms.engine().get_draft(&alias.room_id).await?;
    let levels = draft.power_levels().await?;
    let is_joined = draft.membership(&actor.user_id).await? == Some(Membership::Join);
    Ok(is_joined && levels.may_send(&actor.user_id, "m.room.canonical_alias", true))
}

async fn update_canonical(
    rooms: &Rooms,
    actor: ActiveActor<'_>,
    room_id: &OwnedRoomId,
    alias: &RoomAliasId,
) -> Result<(), EventError> {
    let mut attempts = Attempts::default();
    loop {
        let mut draft = rooms.engine().get_draft(room_id).await?;
        let Some(content) = canonical_without(&mut draft, alias).await? else { return Ok(()) };
        let content = Value::Object(content).to_string();
        draft.add(Intent::state(&actor.user_id, "m.room.canonical_alias", "", &content)).await?;
        match draft.append().await {
            Ok(_) => return Ok(()),
            Err(Refused::Conflict) => attempts.again().await?,
            Err(Refused::Failed(error)) => return Err(error),
        }
    }
}

/// The content of the canonical alias event without an alias. `None` if it does not name it.
async fn canonical_without(
    draft: &mut Draft,
    alias: &RoomAliasId,
) -> Result<Option<Map<String, Value>>, EventError> {
    let current = draft.find_state("m.room.canonical_alias", "").await?;
    let Some(current) = current else { return Ok(None) };
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
    Ok(is_changed.then_some(content))
}
