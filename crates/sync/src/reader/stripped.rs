//! Rooms that the user is invited to or knocks at: a little of their state.

use std::collections::HashSet;

use myelin_events::{
    RoomVersion,
    client::{Format, Unsigned, write_event, write_stripped},
};
use myelin_model::{Event, EventNid, StateKeyNid};
use myelin_storage::{MembershipRow, RoomHead, StateKey, StorageError};

use super::{Loaded, Reader};

/// Get the events that describe the rooms. It takes no query without such rooms, else at most two for all of them.
pub(super) async fn load(
    reader: &Reader<'_>,
    rows: &[MembershipRow],
    loaded: &mut Loaded,
) -> Result<(), StorageError> {
    if rows.is_empty() {
        return Ok(());
    }
    let senders = rows.iter().filter_map(|row| loaded.events.get(&row.event_nid));
    let keys: Vec<StateKey> =
        senders.map(|event| StateKey::new("m.room.member", event.sender.as_str())).collect();
    let keys = reader.sync.db().state_keys().find_many(&keys).await?;
    let mut wanted: Vec<EventNid> = Vec::new();
    for row in rows {
        let Some(head) = loaded.heads.get(&row.room_nid) else { continue };
        let describing = describing(reader, head).await?;
        wanted.extend(&describing);
        loaded.describing.insert(row.room_nid, describing);
        if let Some(event) = loaded.events.get(&row.event_nid) {
            let key = keys.get(&StateKey::new("m.room.member", event.sender.as_str()));
            let inviter = key.and_then(|key| head.state.get(key)).copied();
            wanted.extend(inviter);
            loaded.inviters.extend(inviter.map(|nid| (row.room_nid, nid)));
        }
    }
    loaded.events.extend(reader.sync.db().events().find_many(&wanted).await?);
    Ok(())
}

/// The state that describes a room to those who are not in it: what is usual, and what the configuration adds. It takes
/// no query unless it adds a type with all its state keys, of which the room has some that are not in memory.
async fn describing(reader: &Reader<'_>, head: &RoomHead) -> Result<Vec<EventNid>, StorageError> {
    let (keys, settings) = (&reader.keys, &reader.sync.settings().prejoin_state);
    let mut wanted = vec![keys.create];
    if !settings.without_usual {
        wanted.extend([
            keys.name,
            keys.avatar,
            keys.topic,
            keys.join_rules,
            keys.canonical_alias,
            keys.encryption,
        ]);
    }
    let one = |(event_type, key): &(String, Option<String>)| {
        key.as_ref().map(|key| StateKey::new(event_type, key))
    };
    let named: Vec<StateKey> = settings.additional.iter().filter_map(one).collect();
    wanted.extend(reader.sync.db().state_keys().find_many(&named).await?.into_values());
    let whole: Vec<&str> = settings
        .additional
        .iter()
        .filter(|(_, key)| key.is_none())
        .map(|(event_type, _)| event_type.as_str())
        .collect();
    if !whole.is_empty() {
        let all: Vec<StateKeyNid> = head.state.keys().copied().collect();
        let all = reader.sync.db().state_keys().list(&all).await?;
        let fits = all.into_iter().filter(|(_, key)| whole.contains(&&*key.event_type));
        wanted.extend(fits.map(|(nid, _)| nid));
    }
    let mut seen = HashSet::new();
    wanted.retain(|key| seen.insert(*key));
    Ok(wanted.into_iter().filter_map(|key| head.state.get(&key).copied()).collect())
}

/// Write the events of a room that the user is invited to or knocks at, separated by commas. `own` is the own member event.
pub(crate) fn write_stripped_state(
    reader: &Reader<'_>,
    row: &MembershipRow,
    own: &Event,
    version: RoomVersion,
    loaded: &Loaded,
    out: &mut String,
) {
    if let Some(describing) = loaded.describing.get(&row.room_nid) {
        let state = describing
            .iter()
            .chain(loaded.inviters.get(&row.room_nid))
            .filter(|nid| **nid != own.nid)
            .filter_map(|nid| loaded.events.get(nid));
        for event in state {
            write_stripped(out, event, version);
            out.push(',');
        }
    }
    // The own member event comes whole, as clients read from it when and by whom.
    let age = Some(reader.now_ms.saturating_sub(own.origin_server_ts));
    write_event(out, own, version, Format::Sync, &Unsigned { age, ..Unsigned::default() });
}
