//! The summary of a room, for users who think of joining it (client-server API, "Room summaries").

use std::{collections::HashSet, sync::Arc};

use myelin_events::auth::JoinRule;
use myelin_model::Membership;
use myelin_storage::{RoomHead, StorageError};
use ruma::{OwnedRoomId, RoomId, RoomOrAliasId, UserId};

use super::RoomInfo;
use crate::Rooms;

/// The reason why a summary is not given.
#[derive(Debug, thiserror::Error)]
pub enum SummaryError {
    /// There is no such room here, or it is none of the user's business.
    #[error("Unknown room")]
    NotFound,
    #[error("could not read the room")]
    Storage(#[from] StorageError),
}

/// A room, and what the user is to it.
#[derive(Debug, Clone)]
pub struct RoomSummary {
    /// The description of the room by its state.
    pub info: RoomInfo,
    /// The user's membership, if the user ever had one.
    pub membership: Option<Membership>,
}

/// The summary of a room. It is shown to members, to users who may join, and to everybody if the room is
/// world-readable. `user_id` is `None` for callers who are not logged in.
pub async fn summary(
    rooms: &Rooms,
    user_id: Option<&UserId>,
    room: &RoomOrAliasId,
) -> Result<RoomSummary, SummaryError> {
    let room_id = resolve(rooms, room).await?;
    let head = rooms.db().heads().find(&room_id).await?.ok_or(SummaryError::NotFound)?;
    let mut infos = rooms.room_infos(std::slice::from_ref(&head)).await?;
    let mut info = infos.pop().ok_or(SummaryError::NotFound)?;
    let membership = match user_id {
        Some(user_id) => rooms.membership(&head, user_id).await?,
        None => None,
    };
    if !rooms.may_preview(&info, membership, user_id).await? {
        return Err(SummaryError::NotFound);
    }
    let counts = rooms.db().memberships().count_joined(&[head.room_nid]).await?;
    info.joined_members = counts.first().map_or(0, |(_, count)| *count);
    Ok(RoomSummary { info, membership })
}

async fn resolve(rooms: &Rooms, room: &RoomOrAliasId) -> Result<OwnedRoomId, SummaryError> {
    if let Ok(room_id) = <&RoomId>::try_from(room) {
        return Ok(room_id.to_owned());
    }
    let alias = <&ruma::RoomAliasId>::try_from(room).map_err(|_| SummaryError::NotFound)?;
    let found = rooms.db().aliases().find(alias).await?;
    found.map(|alias| alias.room_id).ok_or(SummaryError::NotFound)
}

impl Rooms {
    /// A user's membership in a room, if the user ever had one.
    pub(crate) async fn membership(
        &self,
        head: &Arc<RoomHead>,
        user_id: &UserId,
    ) -> Result<Option<Membership>, StorageError> {
        let Some(key) = self.db().state_keys().find("m.room.member", user_id.as_str()).await?
        else {
            return Ok(None);
        };
        let Some(nid) = head.state.get(&key) else { return Ok(None) };
        Ok(self.db().events().find(*nid).await?.and_then(|event| event.membership))
    }

    /// Whether a user may know what the room is: members and who is invited, everybody if anybody may join, knock or read, and
    /// members of a room whose members may join.
    pub(super) async fn may_preview(
        &self,
        info: &RoomInfo,
        membership: Option<Membership>,
        user_id: Option<&UserId>,
    ) -> Result<bool, StorageError> {
        if info.is_open() || matches!(membership, Some(Membership::Join | Membership::Invite)) {
            return Ok(true);
        }
        let is_restricted = JoinRule::named(&info.join_rule).is_restricted(info.version);
        let Some(user_id) = user_id.filter(|_| is_restricted) else { return Ok(false) };
        // One question for all rooms that let members in, however many a rule names.
        let joined = self.db().memberships().list_room_ids(user_id, &[Membership::Join]).await?;
        let joined: HashSet<&str> = joined.iter().map(|room_id| room_id.as_str()).collect();
        Ok(info.allowed_room_ids.iter().any(|room_id| joined.contains(&**room_id)))
    }
}
