//! Leaving every room: what is left of a user who is deactivated.

use myelin_model::{Actor, Membership};
use myelin_storage::StorageError;
use ruma::UserId;

use super::{Action, MembershipUpdate, update};
use crate::Rooms;

/// Leave all rooms that the user is in, and reject its invites and withdraw its knocks. Rooms that refuse are left out.
#[tracing::instrument(name = "rooms.membership.leave_all", skip_all, fields(user.id = %user_id))]
pub async fn leave_all(rooms: &Rooms, user_id: &UserId) -> Result<(), StorageError> {
    let actor = Actor::server(user_id.to_owned());
    let present = [Membership::Join, Membership::Invite, Membership::Knock];
    for room_id in rooms.db().memberships().list_room_ids(user_id, &present).await? {
        let change = MembershipUpdate {
            room_id: &room_id,
            target: user_id,
            action: Action::Leave,
            content: serde_json::Map::new(),
            origin_server_ts: None,
        };
        if let Err(error) = update(rooms, &actor, change).await {
            tracing::info!(
                error = &error as &dyn std::error::Error,
                room.id = %room_id,
                "a room cannot be left"
            );
        }
    }
    Ok(())
}
