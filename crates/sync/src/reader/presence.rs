//! The presence of users.

use std::{collections::HashSet, sync::Arc};

use myelin_events::canonical::write_string;
use myelin_model::{Event, Membership, RoomNid};
use myelin_storage::{Presence, StorageError};
use ruma::{OwnedUserId, UserId};

use super::Reader;

/// The number of pairs of a user and a room that are looked up one by one.
const LOOKUPS_MAX: usize = 2_000;

/// Users whose presence the client cannot have heard of: who is in rooms that the user entered, and who joined by one
/// of the events. It takes at most one query.
pub(crate) async fn new_acquaintances<'e>(
    reader: &Reader<'_>,
    entered: &[RoomNid],
    events: impl IntoIterator<Item = &'e Arc<Event>>,
) -> Result<HashSet<OwnedUserId>, StorageError> {
    let joins = events.into_iter().filter(|event| event.membership == Some(Membership::Join));
    let mut users: HashSet<OwnedUserId> =
        joins.filter_map(|event| UserId::parse(event.state_key.as_deref()?).ok()).collect();
    users.extend(present_members(reader, entered).await?);
    users.remove(reader.user_id);
    Ok(users)
}

/// The members of rooms who have a presence. It takes at most one query.
pub(crate) async fn present_members(
    reader: &Reader<'_>,
    room_nids: &[RoomNid],
) -> Result<Vec<OwnedUserId>, StorageError> {
    let hub = reader.sync.db().ephemeral();
    if room_nids.is_empty() || !hub.is_presence_enabled() {
        return Ok(Vec::new());
    }
    let present = hub.changed_since(0).presence;
    members_among(reader, present, room_nids).await
}

/// The users among these who are joined to one of the rooms: by a look at each user where they are few, else by the
/// rooms' members. It takes at most one query.
pub(crate) async fn members_among(
    reader: &Reader<'_>,
    users: Vec<OwnedUserId>,
    rooms: &[RoomNid],
) -> Result<Vec<OwnedUserId>, StorageError> {
    if users.is_empty() || rooms.is_empty() {
        return Ok(Vec::new());
    }
    let memberships = reader.sync.db().memberships();
    if users.len().saturating_mul(rooms.len()) <= LOOKUPS_MAX {
        return memberships.list_joined_among(&users, rooms).await;
    }
    let users: HashSet<OwnedUserId> = users.into_iter().collect();
    let mut joined = memberships.list_joined(rooms).await?;
    joined.retain(|user_id| users.contains(user_id));
    Ok(joined)
}

/// The place where a presence event names its user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PresenceNames {
    /// As the sender.
    Sender,
    /// In the content too, where clients from before `/sync` look for it.
    InContent,
}

/// Write an `m.presence` event.
pub(crate) fn write_presence(
    user_id: &UserId,
    presence: &Presence,
    names: PresenceNames,
    out: &mut String,
) {
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
    if names == PresenceNames::InContent {
        out.push_str(",\"user_id\":");
        write_string(out, user_id.as_str());
    }
    out.push_str("},\"sender\":");
    write_string(out, user_id.as_str());
    out.push_str(",\"type\":\"m.presence\"}");
}
