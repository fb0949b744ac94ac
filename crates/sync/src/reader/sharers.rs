//! The users who share a room with the user.

use myelin_model::RoomNid;
use myelin_storage::StorageError;
use ruma::OwnedUserId;

use super::Reader;

/// The users among the candidates who share a room with the user, and the user. It takes at most one query, for
/// candidates who are not known here. `joined` are the rooms that the user is joined to, where the caller has them.
pub(crate) async fn sharers(
    reader: &Reader<'_>,
    joined: Option<&[RoomNid]>,
    candidates: &[OwnedUserId],
) -> Result<Vec<OwnedUserId>, StorageError> {
    let mut users = Vec::new();
    let mut unknown = Vec::new();
    for user_id in candidates {
        if *user_id == *reader.user_id {
            users.push(user_id.clone());
            continue;
        }
        match reader.sync.view().share_room(reader.user_id, user_id) {
            Some(true) => users.push(user_id.clone()),
            Some(false) => {}
            None => unknown.push(user_id.clone()),
        }
    }
    if !unknown.is_empty() {
        let db = reader.sync.db();
        let rooms = match joined {
            Some(rooms) => rooms.to_vec(),
            None => reader.sync.joined_rooms(reader.user_id).await?,
        };
        users.extend(db.memberships().list_joined_among(&unknown, &rooms).await?);
    }
    Ok(users)
}
