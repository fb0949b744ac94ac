//! Leaving every room: what is left of a user who is deactivated.

use myelin_model::{DeviceSession, Membership};
use myelin_storage::StorageError;

use super::{Action, MembershipUpdate, update};
use crate::Rooms;

/// Leave all rooms that the user is in, and reject its invites and withdraw its knocks. Rooms that refuse are left out.
#[tracing::instrument(name = "rooms.membership.leave_all", skip_all, fields(user.id = %session.user_id))]
pub async fn leave_all(rooms: &Rooms, session: &DeviceSession) -> Result<(), StorageError> {
    let present = [Membership::Join, Membership::Invite, Membership::Knock];
    for room_id in rooms.db().memberships().list_room_ids(&session.user_id, &present).await? {
        let change = MembershipUpdate {
            room_id: &room_id,
            target: &session.user_id,
            action: Action::Leave,
            content: serde_json::Map::new(),
            origin_server_ts: None,
        };
        if let Err(error) = update(rooms, session, change).await {
            tracing::info!(
                error = &error as &dyn std::error::Error,
                room.id = %room_id,
                "a room cannot be left"
            );
        }
    }
    Ok(())
}
