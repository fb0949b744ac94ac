//! The rooms that new users join by themselves (`auto_join_rooms`).

use myelin_engine::Attempts;
use myelin_model::{Actor, Membership, Suspended};
use ruma::{OwnedRoomAliasId, OwnedRoomId, OwnedUserId, RoomAliasId, RoomId, UserId};
use serde_json::{Map, json};

use super::{Action, MembershipError, MembershipUpdate, update};
use crate::{
    Rooms,
    create::{CreateRoomError, Options, create_room},
    unfinished::Steps,
};

/// The rooms that new users join by themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AutoJoin {
    /// The rooms, by aliases of this server.
    pub aliases: Vec<OwnedRoomAliasId>,
    /// Rooms that are missing are made by the first user, or by [`AutoJoin::creator`].
    pub create: bool,
    /// Users of other servers may join the rooms that are made.
    pub federated: bool,
    /// The preset of the rooms that are made.
    pub preset: String,
    /// The user who makes the rooms and invites to them. `None`: the first user who joins makes them.
    pub creator: Option<OwnedUserId>,
    pub guests: bool,
}

impl AutoJoin {
    /// Whether there are rooms that a new user, or a new guest, joins.
    pub fn is_for(&self, is_guest: bool) -> bool {
        !self.aliases.is_empty() && (!is_guest || self.guests)
    }
}

#[derive(Debug, thiserror::Error)]
enum AutoJoinError {
    #[error("the room could not be made")]
    Create(#[from] CreateRoomError),
    #[error(transparent)]
    Suspended(#[from] Suspended),
    #[error("the membership could not be changed")]
    Membership(#[from] MembershipError),
}

impl AutoJoinError {
    /// Nothing was decided: the user may join later. A room that refuses is logged, and left out.
    fn into_failure(self, alias: &RoomAliasId) -> Result<(), MembershipError> {
        match self {
            Self::Membership(error) if error.is_failure() => Err(error),
            Self::Create(CreateRoomError::Event(error)) if error.is_failure() => Err(error.into()),
            Self::Create(_) | Self::Suspended(_) | Self::Membership(_) => {
                tracing::warn!(
                    error = &self as &dyn std::error::Error,
                    room.alias = %alias,
                    "a new user could not join"
                );
                Ok(())
            }
        }
    }
}

/// Have a new user join the rooms.
#[tracing::instrument(name = "rooms.membership.auto_join", skip_all, fields(user.id = %user_id))]
pub(crate) async fn auto_join(rooms: &Rooms, user_id: &UserId) -> Result<(), MembershipError> {
    let settings = &rooms.settings().auto_join;
    let Some(user) = rooms.db().users().find(user_id).await? else { return Ok(()) };
    if user.deactivated || !settings.is_for(user.is_guest) {
        return Ok(());
    }
    // Rooms of other servers are out of reach, and none of this server's stands in for one.
    let aliases =
        settings.aliases.iter().filter(|alias| alias.server_name() == rooms.server_name());
    let mut steps = Steps::default();
    for alias in aliases {
        let joined = join_one(rooms, settings, alias, user_id, user.is_guest).await;
        if !steps.note(joined.or_else(|error| error.into_failure(alias))) {
            break;
        }
    }
    steps.end()
}

async fn join_one(
    rooms: &Rooms,
    settings: &AutoJoin,
    alias: &RoomAliasId,
    user_id: &UserId,
    is_guest: bool,
) -> Result<(), AutoJoinError> {
    let found = rooms.db().aliases().find(alias).await.map_err(MembershipError::from)?;
    let creator = settings.creator.as_deref().unwrap_or(user_id);
    let room_id = match found {
        Some(found) => found.room_id,
        None if settings.create && !is_guest => create(rooms, settings, alias, creator).await?,
        None => return Ok(()),
    };
    if has_come_before(rooms, &room_id, user_id).await? {
        return Ok(());
    }
    if creator != user_id && settings.preset != "public_chat" {
        change(rooms, &Actor::server(creator.to_owned()), &room_id, user_id, Action::Invite)
            .await?;
    }
    let joiner = Actor { is_guest, ..Actor::server(user_id.to_owned()) };
    change(rooms, &joiner, &room_id, user_id, Action::Join).await?;
    Ok(())
}

/// Whether the user is in the room, or has left it: this may be done twice, and nobody is brought back.
async fn has_come_before(
    rooms: &Rooms,
    room_id: &RoomId,
    user_id: &UserId,
) -> Result<bool, MembershipError> {
    let Some(mut draft) = rooms.engine().find_draft(room_id).await? else { return Ok(false) };
    let membership = draft.membership(user_id).await?;
    Ok(!matches!(membership, None | Some(Membership::Invite)))
}

async fn create(
    rooms: &Rooms,
    settings: &AutoJoin,
    alias: &RoomAliasId,
    creator: &UserId,
) -> Result<OwnedRoomId, AutoJoinError> {
    let body = json!({
        "preset": settings.preset,
        "room_alias_name": alias.alias(),
        "creation_content": {"m.federate": settings.federated},
    });
    let creator = Actor::server(creator.to_owned());
    let options = Options::parse(rooms, &creator, &body.to_string())?;
    match create_room(rooms, creator.active()?, &options).await {
        Ok(created) => Ok(created.room_id),
        // Somebody else who is new was quicker.
        Err(CreateRoomError::AliasTaken) => wait_for(rooms, alias).await,
        Err(error) => Err(error.into()),
    }
}

/// Find the room that is being made for an alias: it has the alias before it is there.
async fn wait_for(rooms: &Rooms, alias: &RoomAliasId) -> Result<OwnedRoomId, AutoJoinError> {
    let mut attempts = Attempts::default();
    loop {
        let found = rooms.db().aliases().find(alias).await.map_err(MembershipError::from)?;
        if let Some(found) = found {
            return Ok(found.room_id);
        }
        attempts.again().await.map_err(MembershipError::from)?;
    }
}

async fn change(
    rooms: &Rooms,
    actor: &Actor,
    room_id: &OwnedRoomId,
    target: &UserId,
    action: Action,
) -> Result<(), MembershipError> {
    let content = Map::new();
    let change = MembershipUpdate { room_id, target, action, content, origin_server_ts: None };
    update(rooms, actor, change).await.map(drop)
}
