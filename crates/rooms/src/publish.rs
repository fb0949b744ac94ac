//! Listing rooms in public (client-server API, "Published room directory").

use myelin_model::{ActiveActor, Membership};
use myelin_storage::{DirectoryList, StorageError};
use ruma::{RoomAliasId, RoomId};

use crate::{EventError, Rooms};

/// The server's own list.
const OWN_LIST: DirectoryList<'_> = DirectoryList { appservice_id: "", network_id: "" };

/// The reason why a room was not listed, or not taken off the list.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// This server does not know the room.
    #[error("Unknown room")]
    UnknownRoom,
    /// The user has not the power.
    #[error("This server requires you to be a moderator in the room to edit its room list entry")]
    NotModerator,
    /// The server's rules do not let the user list the room.
    #[error("Not allowed to publish room")]
    NotAllowed,
    /// The server has no list.
    #[error("This user is not permitted to publish rooms to the room list")]
    NoList,
    /// The room or the list was not read or written.
    #[error("could not read the room or write the list")]
    Event(#[from] EventError),
}

impl From<StorageError> for PublishError {
    fn from(error: StorageError) -> Self {
        Self::Event(error.into())
    }
}

/// List a room in public, or list it no more. Who may change the canonical alias may do this.
#[tracing::instrument(name = "rooms.publish", skip_all, fields(room.id = %room_id, user.id = %actor.user_id))]
pub async fn set_visibility(
    rooms: &Rooms,
    actor: ActiveActor<'_>,
    room_id: &RoomId,
    is_public: bool,
) -> Result<(), PublishError> {
    if is_public && !rooms.settings().room_list_enabled {
        return Err(PublishError::NoList);
    }
    let mut draft = rooms.engine().find_draft(room_id).await?.ok_or(PublishError::UnknownRoom)?;
    let room_nid = draft.room_nid();
    if !actor.is_admin() {
        let levels = draft.power_levels().await?;
        let is_joined = draft.membership(&actor.user_id).await? == Some(Membership::Join);
        if !is_joined || !levels.may_send(&actor.user_id, "m.room.canonical_alias", true) {
            return Err(PublishError::NotModerator);
        }
    }
    drop(draft);
    let mut tx = rooms.db().begin().await?;
    if is_public {
        let aliases = rooms.db().aliases().list(room_nid).await?;
        let aliases: Vec<&RoomAliasId> = aliases.iter().map(|alias| &*alias.alias).collect();
        let rules = &rooms.settings().publication_rules;
        if !rules.allow(&actor.user_id, room_id, &aliases) {
            return Err(PublishError::NotAllowed);
        }
        tx.directory().add(room_nid, OWN_LIST).await?;
    } else {
        tx.directory().delete(room_nid, OWN_LIST).await?;
    }
    tx.commit().await?;
    Ok(())
}
