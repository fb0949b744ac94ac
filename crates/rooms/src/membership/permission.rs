//! Who lets nobody invite them (client-server API, "Invite permission").

use myelin_storage::StorageError;
use ruma::UserId;
use serde_json::Value;

use crate::Rooms;

/// Whether a user of this server takes no invites.
pub(crate) async fn blocks_invites(rooms: &Rooms, user_id: &UserId) -> Result<bool, StorageError> {
    let stored =
        rooms.db().account_data().find(user_id, None, "m.invite_permission_config").await?;
    let content: Option<Value> = stored.and_then(|json| serde_json::from_str(json.get()).ok());
    Ok(content.is_some_and(|content| content.get("default_action") == Some(&"block".into())))
}
