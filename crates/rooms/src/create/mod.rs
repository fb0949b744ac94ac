//! Making rooms.

mod error;
mod events;
mod names;
mod options;
mod power_levels;

use myelin_engine::{Attempts, Draft, Refused};
use myelin_model::{ActiveActor, Actor};
use myelin_storage::StorageError;
use ruma::{OwnedRoomAliasId, OwnedRoomId, RoomAliasId, RoomId};

use self::names::Names;
pub use self::{
    error::CreateRoomError,
    options::{Options, Preset},
};
use crate::{
    Rooms,
    alias::add::{AddAliasError, check_form, check_rules},
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
    let room_id = loop {
        match try_create(rooms, &actor, options, alias.as_deref()).await {
            Ok(room_id) => break room_id,
            Err(NotCreated::Conflict) => attempts.again().await?,
            Err(NotCreated::Failed(error)) => return Err(error),
        }
    };
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

/// Make the room. It has its names before it is there: of two rooms for one alias one is never made, and a node that dies in between
/// leaves no room without them.
async fn try_create(
    rooms: &Rooms,
    actor: &Actor,
    options: &Options,
    alias: Option<&RoomAliasId>,
) -> Result<OwnedRoomId, NotCreated> {
    let mut draft =
        rooms.engine().create_draft(options.version).await.map_err(NotCreated::failed)?;
    events::add_create(&mut draft, &actor.user_id, options).await.map_err(NotCreated::failed)?;
    let room_nid = draft.room_nid();
    let names =
        Names { alias, is_listed: options.is_public && may_list(rooms, actor, &draft, alias) };
    names.claim(rooms, actor, room_nid).await.map_err(NotCreated::failed)?;
    let made = fill(rooms, draft, actor, options, alias).await;
    if made.is_err() {
        names.release(rooms, room_nid).await;
    }
    made
}

async fn fill(
    rooms: &Rooms,
    mut draft: Draft,
    actor: &Actor,
    options: &Options,
    alias: Option<&RoomAliasId>,
) -> Result<OwnedRoomId, NotCreated> {
    events::add_rest(rooms, &mut draft, actor, options, alias).await.map_err(NotCreated::failed)?;
    let room_id = draft.room_id().to_owned();
    draft.append().await?;
    Ok(room_id)
}

/// Whether the server's rules let the user list the room in public.
fn may_list(rooms: &Rooms, actor: &Actor, draft: &Draft, alias: Option<&RoomAliasId>) -> bool {
    let aliases: Vec<&RoomAliasId> = alias.into_iter().collect();
    let rules = &rooms.settings().publication_rules;
    rules.allow(&actor.user_id, draft.room_id(), &aliases)
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
    // The room has no ID yet, so rules about rooms see another one.
    check_rules(rooms, actor, &alias, &RoomId::new_v1(rooms.server_name()))?;
    Ok(alias)
}

impl From<StorageError> for CreateRoomError {
    fn from(error: StorageError) -> Self {
        Self::Event(error.into())
    }
}
