//! Leaving every room: what is left of a user who is deactivated.

use myelin_model::{Actor, Membership};
use ruma::{RoomId, UserId};

use super::{Action, MembershipError, MembershipUpdate, update};
use crate::{Rooms, unfinished::Steps};

/// Have a deactivated user leave all rooms, reject its invites and withdraw its knocks. Rooms that refuse are left out. Whether there was
/// any room: then there may be more, which the user was about to join when the account ended.
#[tracing::instrument(name = "rooms.membership.leave_all", skip_all, fields(user.id = %user_id))]
pub(crate) async fn leave_all(rooms: &Rooms, user_id: &UserId) -> Result<bool, MembershipError> {
    let actor = Actor::server(user_id.to_owned());
    let present = [Membership::Join, Membership::Invite, Membership::Knock];
    let mut steps = Steps::default();
    let mut has_left = false;
    for room_id in rooms.db().memberships().list_room_ids(user_id, &present).await? {
        let step = leave(rooms, &actor, &room_id).await;
        has_left |= matches!(step, Ok(true));
        if !steps.note(step.map(drop)) {
            break;
        }
    }
    steps.end()?;
    Ok(has_left)
}

/// Have the actor's user leave a room. `false` if the room refuses, which is logged.
pub(crate) async fn leave(
    rooms: &Rooms,
    actor: &Actor,
    room_id: &RoomId,
) -> Result<bool, MembershipError> {
    let change = MembershipUpdate {
        room_id,
        target: &actor.user_id,
        action: Action::Leave,
        content: serde_json::Map::new(),
        origin_server_ts: None,
    };
    match update(rooms, actor, change).await {
        Ok(_) => Ok(true),
        Err(error) if error.is_failure() => Err(error),
        Err(error) => {
            tracing::info!(
                error = &error as &dyn std::error::Error,
                room.id = %room_id,
                "a room cannot be left"
            );
            Ok(false)
        }
    }
}
