//! Who is there.

use std::collections::HashSet;

use myelin_events::canonical::write_string;
use myelin_model::{Membership, RoomNid};
use myelin_storage::{Change, Presence, StorageError};
use ruma::{OwnedUserId, UserId};

use super::{Reader, RoomRead};

/// How many pairs of a user and a room are looked up one by one.
const LOOKUPS_MAX: usize = 2_000;

/// Users whose presence the client cannot have heard of: those in rooms that the user joined since, and those who joined the user's
/// rooms since. At most one query.
pub(crate) async fn new_acquaintances<'r>(
    reader: &Reader<'_>,
    reads: impl IntoIterator<Item = &'r RoomRead>,
) -> Result<Vec<OwnedUserId>, StorageError> {
    let mut users: HashSet<OwnedUserId> = HashSet::new();
    let mut rooms: Vec<RoomNid> = Vec::new();
    for room in reads.into_iter().filter(|room| room.is_joined()) {
        if room.newly_joined {
            rooms.push(room.room_nid);
        }
        for entry in &room.entries {
            if let Change::Event(event) = &entry.change
                && event.membership == Some(Membership::Join)
                && let Some(state_key) = event.state_key.as_deref()
                && let Ok(user_id) = UserId::parse(state_key)
            {
                users.insert(user_id);
            }
        }
    }
    if !rooms.is_empty() {
        let known = reader.sync.db().ephemeral().changed_since(0).presence;
        users.extend(joined_of(reader, known, &rooms).await?);
    }
    users.remove(reader.user_id);
    Ok(users.into_iter().collect())
}

/// Those of the users who are joined to one of the rooms: by a look at each user where they are few, else by the rooms' members.
async fn joined_of(
    reader: &Reader<'_>,
    users: Vec<OwnedUserId>,
    rooms: &[RoomNid],
) -> Result<Vec<OwnedUserId>, StorageError> {
    let memberships = reader.sync.db().memberships();
    if users.len().saturating_mul(rooms.len()) <= LOOKUPS_MAX {
        return memberships.list_joined_among(&users, rooms).await;
    }
    let users: HashSet<OwnedUserId> = users.into_iter().collect();
    let mut joined = memberships.list_joined(rooms).await?;
    joined.retain(|user_id| users.contains(user_id));
    Ok(joined)
}

/// Write an `m.presence` event.
pub(crate) fn write_presence(user_id: &UserId, presence: &Presence, out: &mut String) {
    out.push_str("{\"content\":{");
    if presence.currently_active {
        out.push_str("\"currently_active\":true,");
    }
    if let Some(ago) = presence.last_active_ago_ms {
        out.push_str(&format!("\"last_active_ago\":{ago},"));
    }
    out.push_str("\"presence\":");
    write_string(out, presence.state.as_str());
    if let Some(message) = &presence.status_msg {
        out.push_str(",\"status_msg\":");
        write_string(out, message);
    }
    out.push_str("},\"sender\":");
    write_string(out, user_id.as_str());
    out.push_str(",\"type\":\"m.presence\"}");
}
