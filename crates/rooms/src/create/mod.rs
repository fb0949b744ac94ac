//! Making rooms.

mod error;
mod events;
mod options;
mod power_levels;

use myelin_engine::{Attempts, Draft, Refused};
use myelin_model::{ActiveActor, Actor, RoomNid};
use myelin_storage::{DirectoryList, StorageError};
use ruma::{OwnedRoomAliasId, OwnedRoomId, RoomAliasId, RoomId};

pub use self::{
    error::CreateRoomError,
    options::{Options, Preset},
};
use crate::{
    Rooms,
    alias::add::{AddAliasError, check_form},
    membership::blocks_invites,
};

/// A room that was made.
#[derive(Debug, Clone)]
pub struct CreatedRoom {
    pub room_id: OwnedRoomId,
    /// Its alias, if one was asked for.
    pub alias: Option<OwnedRoomAliasId>,
}

/// Make a room with all its first events, at once.
#[tracing::instrument(name = "rooms.create", skip_all, fields(user.id = %actor.user_id))]
pub async fn create_room(
    rooms: &Rooms,
    actor: ActiveActor<'_>,
    options: &Options,
) -> Result<CreatedRoom, CreateRoomError> {
    check_invites(rooms, &actor, options).await?;
    let alias = match &options.alias_name {
        Some(name) => Some(check_alias(rooms, &actor, name).await?),
        None => None,
    };
    let mut attempts = Attempts::default();
    let (room_id, room_nid) = loop {
        match try_create(rooms, &actor, options, alias.as_deref()).await {
            Ok(created) => break created,
            Err(NotCreated::Conflict) => attempts.again().await?,
            Err(NotCreated::Failed(error)) => return Err(error),
        }
    };
    let aliases: Vec<&RoomAliasId> = alias.as_deref().into_iter().collect();
    if options.is_public
        && (actor.is_admin()
            || rooms.settings().publication_rules.allow(&actor.user_id, &room_id, &aliases))
    {
        let mut tx = rooms.db().begin().await?;
        tx.directory().add(room_nid, DirectoryList { appservice_id: "", network_id: "" }).await?;
        tx.commit().await?;
    }
    Ok(CreatedRoom { room_id, alias })
}

/// Check that the actor may invite the users whom the options invite. An admin always may.
async fn check_invites(
    rooms: &Rooms,
    actor: &Actor,
    options: &Options,
) -> Result<(), CreateRoomError> {
    if actor.is_admin() {
        return Ok(());
    }
    if rooms.settings().only_admins_invite && options.invited().next().is_some() {
        return Err(CreateRoomError::InvitesDisabled);
    }
    for user_id in options.invited() {
        if blocks_invites(rooms, user_id).await? {
            return Err(CreateRoomError::InviteBlocked);
        }
    }
    Ok(())
}

/// The reason why an attempt made no room.
enum NotCreated {
    /// Another request wrote first: the whole attempt may be made again.
    Conflict,
    /// Another attempt would fail in the same way.
    Failed(CreateRoomError),
}

impl From<Refused> for NotCreated {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Conflict => Self::Conflict,
            Refused::Failed(error) => Self::Failed(error.into()),
        }
    }
}

impl NotCreated {
    fn failed(error: impl Into<CreateRoomError>) -> Self {
        Self::Failed(error.into())
    }
}

/// Make the room. It has its alias before it is there, so that of two rooms for one alias one is never made.
async fn try_create(
    rooms: &Rooms,
    actor: &Actor,
    options: &Options,
    alias: Option<&RoomAliasId>,
) -> Result<(OwnedRoomId, RoomNid), NotCreated> {
    let draft = rooms.engine().create_draft(options.version).await.map_err(NotCreated::failed)?;
    let room_nid = draft.room_nid();
    if let Some(alias) = alias {
        claim(rooms, actor, alias, room_nid).await.map_err(NotCreated::failed)?;
    }
    let made = fill(rooms, draft, actor, options, alias).await;
    if let (Err(_), Some(alias)) = (&made, alias) {
        release(rooms, alias, room_nid).await;
    }
    made.map(|room_id| (room_id, room_nid))
}

async fn fill(
    rooms: &Rooms,
    mut draft: Draft,
    actor: &Actor,
    options: &Options,
    alias: Option<&RoomAliasId>,
) -> Result<OwnedRoomId, NotCreated> {
    events::add_all(rooms, &mut draft, actor, options, alias).await.map_err(NotCreated::failed)?;
    let room_id = draft.room_id().to_owned();
    draft.append().await?;
    Ok(room_id)
}

/// The alias asked for, if it may be made and is free.
async fn check_alias(
    rooms: &Rooms,
    actor: &Actor,
    name: &str,
) -> Result<OwnedRoomAliasId, CreateRoomError> {
    if name.contains(char::is_whitespace) {
        return Err(AddAliasError::BadCharacters.into());
    }
    if name.contains(':') {
        return Err(CreateRoomError::AliasWithServer);
    }
    let alias = RoomAliasId::parse(format!("#{name}:{}", rooms.server_name()))
        .map_err(|_| AddAliasError::BadCharacters)?;
    check_form(rooms, &alias)?;
    if rooms.db().aliases().find(&alias).await?.is_some() {
        return Err(CreateRoomError::AliasTaken);
    }
    // The room has no ID yet, so rules about rooms see an empty one.
    let rules = &rooms.settings().alias_creation_rules;
    let nowhere = RoomId::new_v1(rooms.server_name());
    if !actor.is_admin() && !rules.allow(&actor.user_id, &nowhere, &[&alias]) {
        return Err(AddAliasError::NotAllowed.into());
    }
    Ok(alias)
}

/// Take the alias for the new room. Somebody may have been quicker since it was checked.
async fn claim(
    rooms: &Rooms,
    actor: &Actor,
    alias: &RoomAliasId,
    room_nid: RoomNid,
) -> Result<(), CreateRoomError> {
    let mut tx = rooms.db().begin().await?;
    if tx.aliases().add(alias, room_nid, &actor.user_id, rooms.now_ms()).await? {
        tx.commit().await?;
        return Ok(());
    }
    Err(CreateRoomError::AliasTaken)
}

/// Give the alias back. If that fails, too, it is free again after a while.
async fn release(rooms: &Rooms, alias: &RoomAliasId, room_nid: RoomNid) {
    let released = async {
        let mut tx = rooms.db().begin().await?;
        tx.aliases().release(alias, room_nid).await?;
        tx.commit().await
    };
    if let Err(error) = released.await {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            room.alias = %alias,
            "the alias of a room that was not made could not be given back"
        );
    }
}

impl From<StorageError> for CreateRoomError {
    fn from(error: StorageError) -> Self {
        Self::Event(error.into())
    }
}
