//! The users who let nobody invite them (client-server API, "Invite permission").

use myelin_events::account_data::{self, INVITE_PERMISSION_CONFIG};
use myelin_storage::StorageError;
use ruma::UserId;

use crate::Rooms;

/// Whether a user of this server takes no invites.
pub(crate) async fn blocks_invites(rooms: &Rooms, user_id: &UserId) -> Result<bool, StorageError> {
    let stored = rooms.db().account_data().find(user_id, None, INVITE_PERMISSION_CONFIG).await?;
    Ok(stored.is_some_and(|content| account_data::blocks_invites(content.get())))
}
