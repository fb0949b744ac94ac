//! Who of those that share a room with the user is there.

use std::collections::HashSet;

use myelin_events::canonical::write_string;
use myelin_model::RoomNid;
use myelin_storage::{Change, Presence, PresenceState};
use ruma::{OwnedUserId, UserId};

use super::{Pass, SyncError, plan::Plan};

/// Write the presence of others that changed, or all of it where everything is told.
pub(super) async fn write(pass: &Pass<'_>, plan: &Plan, out: &mut String) -> Result<(), SyncError> {
    let hub = pass.sync.db().ephemeral();
    let filter = &pass.filter().presence;
    if !hub.is_presence_enabled() || filter.blocks_all() || !filter.allows_type("m.presence") {
        return Ok(());
    }
    let mut users = sharers(pass, plan, &pass.ephemeral.presence).await?;
    for user_id in new_acquaintances(pass, plan).await? {
        if !users.contains(&user_id) {
            users.push(user_id);
        }
    }
    let includes_offline = pass.since.is_some() || pass.sync.settings().presence_includes_offline;
    let mut events = String::new();
    for user_id in users.iter().filter(|user_id| filter.allows_sender(user_id)) {
        let Some(presence) = hub.presence(user_id) else { continue };
        if presence.state == PresenceState::Offline && !includes_offline {
            continue;
        }
        if !events.is_empty() {
            events.push(',');
        }
        write_event(user_id, &presence, &mut events);
    }
    if !events.is_empty() {
        out.push_str(",\"presence\":{\"events\":[");
        out.push_str(&events);
        out.push_str("]}");
    }
    Ok(())
}

/// Those of the users who share a room with the user, and the user. At most one query, for users who are not known here.
pub(super) async fn sharers(
    pass: &Pass<'_>,
    plan: &Plan,
    candidates: &[OwnedUserId],
) -> Result<Vec<OwnedUserId>, SyncError> {
    let mut users = Vec::new();
    let mut strangers = Vec::new();
    for user_id in candidates {
        if *user_id == *pass.user_id() {
            users.push(user_id.clone());
            continue;
        }
        match pass.sync.view().share_room(pass.user_id(), user_id) {
            Some(true) => users.push(user_id.clone()),
            Some(false) => {}
            None => strangers.push(user_id.clone()),
        }
    }
    if !strangers.is_empty() {
        let reads = pass.sync.db().sync_reads();
        let rooms = match &plan.joined {
            Some(rooms) => rooms.clone(),
            None => pass.sync.view().joined_rooms(pass.user_id()),
        };
        users.extend(reads.list_joined(&strangers, &rooms).await?);
    }
    Ok(users)
}

/// Users whose presence the client cannot have heard of: those in rooms that the user joined since, and those who joined the user's
/// rooms since. At most one query.
async fn new_acquaintances(pass: &Pass<'_>, plan: &Plan) -> Result<Vec<OwnedUserId>, SyncError> {
    if pass.since.is_none() {
        return Ok(Vec::new());
    }
    let mut users: HashSet<OwnedUserId> = HashSet::new();
    let mut rooms: Vec<RoomNid> = Vec::new();
    for task in plan.rooms.iter().filter(|task| task.is_joined()) {
        if task.newly_joined {
            rooms.push(task.row.room_nid);
        }
        for entry in &task.entries {
            if let Change::Event(event) = &entry.change
                && event.membership == Some(myelin_model::Membership::Join)
                && let Some(state_key) = event.state_key.as_deref()
                && let Ok(user_id) = UserId::parse(state_key)
            {
                users.insert(user_id);
            }
        }
    }
    if !rooms.is_empty() {
        let known = pass.sync.db().ephemeral().changed_since(0).presence;
        let joined = pass.sync.db().sync_reads().list_joined(&known, &rooms).await?;
        users.extend(joined);
    }
    users.remove(pass.user_id());
    Ok(users.into_iter().collect())
}

fn write_event(user_id: &UserId, presence: &Presence, out: &mut String) {
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
