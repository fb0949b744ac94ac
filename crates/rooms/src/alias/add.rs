//! Giving a room an alias.

use myelin_model::{ActiveActor, Actor};
use myelin_storage::StorageError;
use ruma::{RoomAliasId, RoomId};

use super::namespace::{self, NamespaceError};
use crate::Rooms;

/// The reason why a room was not given an alias.
#[derive(Debug, thiserror::Error)]
pub enum AddAliasError {
    /// The alias is of another server.
    #[error("Room alias must be local")]
    Remote,
    /// The alias has white space in it.
    #[error("Invalid characters in room alias")]
    BadCharacters,
    /// The alias is longer than an ID may be.
    #[error("Can't create aliases longer than 255 characters")]
    TooLong,
    /// This server does not know the room.
    #[error("Room does not exist")]
    UnknownRoom,
    /// The user is not in the room.
    #[error("You must be in the room to create an alias for it")]
    NotInRoom,
    /// The server's rules do not let the user make this alias.
    #[error("Not allowed to create alias")]
    NotAllowed,
    /// The alias is in a namespace that is not the actor's.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    #[error("Room alias {0} already exists")]
    Taken(ruma::OwnedRoomAliasId),
    #[error("could not write the alias")]
    Storage(#[from] StorageError),
}

/// Give a room an alias of this server.
#[tracing::instrument(name = "rooms.alias.add", skip_all, fields(room.id = %room_id, room.alias = %alias))]
pub async fn add(
    rooms: &Rooms,
    actor: ActiveActor<'_>,
    alias: &RoomAliasId,
    room_id: &RoomId,
) -> Result<(), AddAliasError> {
    check_form(rooms, alias)?;
    let head = rooms.db().heads().find(room_id).await?.ok_or(AddAliasError::UnknownRoom)?;
    let is_joined = rooms.engine().is_joined(&head, &actor.user_id).await?;
    let must_be_joined = rooms.settings().require_membership_for_aliases
        && actor.appservice_id().is_none()
        && !actor.is_admin();
    if must_be_joined && !is_joined {
        return Err(AddAliasError::NotInRoom);
    }
    check_rules(rooms, &actor, alias, room_id)?;
    let mut tx = rooms.db().begin().await?;
    if !tx.aliases().add(alias, head.room_nid, &actor.user_id, rooms.now_ms()).await? {
        return Err(AddAliasError::Taken(alias.to_owned()));
    }
    tx.commit().await?;
    Ok(())
}

/// The checks that need no database.
pub(crate) fn check_form(rooms: &Rooms, alias: &RoomAliasId) -> Result<(), AddAliasError> {
    if alias.server_name() != rooms.server_name() {
        return Err(AddAliasError::Remote);
    }
    if alias.as_str().contains(char::is_whitespace) {
        return Err(AddAliasError::BadCharacters);
    }
    if alias.as_str().len() > myelin_model::limits::ID_LENGTH_BYTES_MAX {
        return Err(AddAliasError::TooLong);
    }
    Ok(())
}

/// Check whether the actor may make the alias: by the namespaces of application services, which alone bind those, and by
/// `alias_creation_rules`, which bind all others, admins as well.
pub(crate) fn check_rules(
    rooms: &Rooms,
    actor: &Actor,
    alias: &RoomAliasId,
    room_id: &RoomId,
) -> Result<(), AddAliasError> {
    let is_bound = actor.appservice_id().is_none();
    let rules = &rooms.settings().alias_creation_rules;
    if is_bound && !rules.allow(&actor.user_id, room_id, &[alias]) {
        return Err(AddAliasError::NotAllowed);
    }
    Ok(namespace::check(rooms, actor, alias)?)
}
