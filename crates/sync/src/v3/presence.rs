//! The presence of the users who share a room with the user.

use std::{collections::HashSet, sync::Arc};

use myelin_model::{Event, RoomNid};
use myelin_storage::{PresenceState, StorageError};
use ruma::OwnedUserId;

use super::{Pass, plan::Plan};
use crate::reader::{Loaded, PresenceNames, new_acquaintances, sharers, write_presence};

/// Write the presence of others that changed, or all of it where everything is told.
pub(super) async fn write(
    pass: &Pass<'_>,
    plan: &Plan,
    loaded: &Loaded,
    out: &mut String,
) -> Result<(), StorageError> {
    let hub = pass.reader.sync.db().ephemeral();
    let filter = &pass.filter().presence;
    if !hub.is_presence_enabled() || filter.blocks_all() || !filter.allows_type("m.presence") {
        return Ok(());
    }
    let mut users = sharers(&pass.reader, plan.joined.as_deref(), &pass.ephemeral.presence).await?;
    if pass.since.is_some() {
        let (entered, events) = arrivals(plan, loaded);
        let known: HashSet<OwnedUserId> = users.iter().cloned().collect();
        let new = new_acquaintances(&pass.reader, &entered, events).await?;
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
        write_presence(user_id, &presence, PresenceNames::Sender, &mut events);
    }
    if !events.is_empty() {
        out.push_str(",\"presence\":{\"events\":[");
        out.push_str(&events);
        out.push_str("]}");
    }
    Ok(())
}

/// The rooms that the user entered, and what happened in the others.
fn arrivals<'l>(plan: &Plan, loaded: &'l Loaded) -> (Vec<RoomNid>, Vec<&'l Arc<Event>>) {
    let (mut entered, mut events) = (Vec::new(), Vec::new());
    for room in plan.rooms.iter().map(|task| &task.read).filter(|room| room.is_joined()) {
        if room.newly_joined {
            entered.push(room.room_nid);
        } else if let Some(window) = loaded.windows.get(&room.room_nid) {
            events.extend(window.gap.iter().filter_map(|row| loaded.events.get(&row.event_nid)));
            events.extend(&window.events);
        }
    }
    (entered, events)
}
