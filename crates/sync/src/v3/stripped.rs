//! Rooms that the user is invited to or knocks at: a little of their state.

use std::sync::Arc;

use myelin_events::{
    RoomVersion,
    client::{Format, Unsigned, write_event, write_stripped},
};
use myelin_model::{Event, EventNid};
use myelin_storage::{MembershipRow, StateKey};

use super::{Pass, SyncError, load::Loaded, plan::Plan};

/// Get the events that describe the rooms. No query without such rooms, else at most two for all of them.
pub(super) async fn load(
    pass: &Pass<'_>,
    plan: &Plan,
    loaded: &mut Loaded,
) -> Result<(), SyncError> {
    let rows: Vec<&MembershipRow> = plan.invited.iter().chain(&plan.knocked).collect();
    if rows.is_empty() {
        return Ok(());
    }
    let senders = rows.iter().filter_map(|row| loaded.events.get(&row.event_nid));
    let keys: Vec<StateKey> =
        senders.map(|event| StateKey::new("m.room.member", event.sender.as_str())).collect();
    let keys = pass.sync.db().state_keys().find_many(&keys).await?;
    let mut wanted: Vec<EventNid> = Vec::new();
    for row in rows {
        let Some(head) = loaded.heads.get(&row.room_nid) else { continue };
        wanted.extend(describing(pass).iter().filter_map(|key| head.state.get(key)));
        if let Some(event) = loaded.events.get(&row.event_nid) {
            let key = keys.get(&StateKey::new("m.room.member", event.sender.as_str()));
            let inviter = key.and_then(|key| head.state.get(key)).copied();
            wanted.extend(inviter);
            loaded.inviters.extend(inviter.map(|nid| (row.room_nid, nid)));
        }
    }
    loaded.events.extend(pass.sync.db().events().find_many(&wanted).await?);
    Ok(())
}

/// The state that describes a room to those who are not in it.
fn describing(pass: &Pass<'_>) -> [myelin_model::StateKeyNid; 7] {
    let keys = &pass.keys;
    [
        keys.create,
        keys.name,
        keys.avatar,
        keys.topic,
        keys.join_rules,
        keys.canonical_alias,
        keys.encryption,
    ]
}

/// Write the rooms of one kind, `invite` or `knock`, if there are any.
pub(super) fn write(
    pass: &Pass<'_>,
    rows: &[MembershipRow],
    loaded: &Loaded,
    kind: &str,
    out: &mut String,
) {
    let mut rooms = String::new();
    for row in rows {
        let Some((room_id, version)) = loaded.room(row.room_nid) else { continue };
        let Some(own) = loaded.events.get(&row.event_nid) else { continue };
        // An invite from someone ignored never happened.
        if pass.personal.ignored.contains(&own.sender) || !pass.filter().allows_room(room_id) {
            continue;
        }
        if !rooms.is_empty() {
            rooms.push(',');
        }
        rooms.push_str(&format!("\"{room_id}\":{{\"{kind}_state\":{{\"events\":["));
        write_state(pass, row, own, version, loaded, &mut rooms);
        rooms.push_str("]}}");
    }
    super::room::write_section(kind, &rooms, out);
}

fn write_state(
    pass: &Pass<'_>,
    row: &MembershipRow,
    own: &Arc<Event>,
    version: RoomVersion,
    loaded: &Loaded,
    out: &mut String,
) {
    if let Some(head) = loaded.heads.get(&row.room_nid) {
        let state = describing(pass)
            .into_iter()
            .filter_map(|key| head.state.get(&key))
            .chain(loaded.inviters.get(&row.room_nid))
            .filter(|nid| **nid != own.nid)
            .filter_map(|nid| loaded.events.get(nid));
        for event in state {
            write_stripped(out, event, version);
            out.push(',');
        }
    }
    // The own member event comes whole, as clients read from it when and by whom.
    let age = Some(pass.now_ms.saturating_sub(own.origin_server_ts));
    write_event(out, own, version, Format::Sync, &Unsigned { age, ..Unsigned::default() });
}
