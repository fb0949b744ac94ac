//! Who of those that share a room with the user is there.

use std::collections::HashSet;

use myelin_storage::{PresenceState, StorageError};
use ruma::OwnedUserId;

use super::{Pass, plan::Plan};
use crate::reader::{new_acquaintances, sharers, write_presence};

/// Write the presence of others that changed, or all of it where everything is told.
pub(super) async fn write(
    pass: &Pass<'_>,
    plan: &Plan,
    out: &mut String,
) -> Result<(), StorageError> {
    let hub = pass.reader.sync.db().ephemeral();
    let filter = &pass.filter().presence;
    if !hub.is_presence_enabled() || filter.blocks_all() || !filter.allows_type("m.presence") {
        return Ok(());
    }
    let mut users = sharers(&pass.reader, plan.joined.as_deref(), &pass.ephemeral.presence).await?;
    if pass.since.is_some() {
        let rooms = plan.rooms.iter().map(|task| &task.read);
        let known: HashSet<OwnedUserId> = users.iter().cloned().collect();
        let new = new_acquaintances(&pass.reader, rooms).await?;
        users.extend(new.into_iter().filter(|user_id| !known.contains(user_id)));
    }
    let includes_offline =
        pass.since.is_some() || pass.reader.sync.settings().presence_includes_offline;
    let mut events = String::new();
    for user_id in users.iter().filter(|user_id| filter.allows_sender(user_id)) {
        let Some(presence) = hub.presence(user_id) else { continue };
        if presence.state == PresenceState::Offline && !includes_offline {
            continue;
        }
        if !events.is_empty() {
            events.push(',');
        }
        write_presence(user_id, &presence, &mut events);
    }
    if !events.is_empty() {
        out.push_str(",\"presence\":{\"events\":[");
        out.push_str(&events);
        out.push_str("]}");
    }
    Ok(())
}
