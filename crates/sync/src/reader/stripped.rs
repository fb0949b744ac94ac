//! Rooms that the user is invited to or knocks at: a little of their state.

use std::collections::{HashMap, HashSet};

use myelin_events::{RoomVersion, client::write_stripped};
use myelin_model::{Event, EventFlags, EventNid, StateKeyNid, StateNid};
use myelin_storage::{MembershipRow, StateKey, StateMap, StorageError};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Loaded, Reader};

/// Get the events that describe the rooms as they were when the user was invited or began to knock: what came later is
/// not for those who are not in. It takes no query without such rooms, else at most three for all of them, and one for those that this
/// server is not in.
pub(super) async fn load(
    reader: &Reader<'_>,
    rows: &[MembershipRow],
    loaded: &mut Loaded,
) -> Result<(), StorageError> {
    if rows.is_empty() {
        return Ok(());
    }
    let outside = rows.iter().filter_map(|row| loaded.events.get(&row.event_nid));
    let outside = outside.filter(|own| own.flags.contains(EventFlags::OUTLIER));
    let outside: Vec<EventNid> = outside.map(|own| own.nid).collect();
    if !outside.is_empty() {
        loaded.told = reader.sync.db().outside_states().find_many(&outside).await?;
    }
    let senders = rows.iter().filter_map(|row| loaded.events.get(&row.event_nid));
    let keys: Vec<StateKey> =
        senders.map(|event| StateKey::new("m.room.member", event.sender.as_str())).collect();
    let keys = reader.sync.db().state_keys().find_many(&keys).await?;
    let states = load_states(reader, rows, loaded).await?;
    let mut wanted: Vec<EventNid> = Vec::new();
    for row in rows {
        let Some(own) = loaded.events.get(&row.event_nid) else { continue };
        let Some(state) = own.state_after.and_then(|nid| states.get(&nid)) else { continue };
        let describing = describing(reader, state).await?;
        wanted.extend(&describing);
        loaded.describing.insert(row.room_nid, describing);
        let key = keys.get(&StateKey::new("m.room.member", own.sender.as_str()));
        let inviter = key.and_then(|key| state.get(key)).copied();
        wanted.extend(inviter);
        loaded.inviters.extend(inviter.map(|nid| (row.room_nid, nid)));
    }
    loaded.events.extend(reader.sync.db().events().find_many(&wanted).await?);
    Ok(())
}

/// The states after the user's own member events. It takes no query for rooms whose state is still the same, else one
/// for all others.
async fn load_states(
    reader: &Reader<'_>,
    rows: &[MembershipRow],
    loaded: &Loaded,
) -> Result<HashMap<StateNid, StateMap>, StorageError> {
    let mut states = HashMap::new();
    let mut missing = Vec::new();
    for row in rows {
        let own = loaded.events.get(&row.event_nid);
        let Some(state_nid) = own.and_then(|own| own.state_after) else { continue };
        match loaded.heads.get(&row.room_nid) {
            Some(head) if head.chain.state_nid() == Some(state_nid) => {
                states.insert(state_nid, head.state.clone());
            }
            Some(_) | None => missing.push(state_nid),
        }
    }
    if !missing.is_empty() {
        states.extend(reader.sync.db().states().list(&missing).await?);
    }
    Ok(states)
}

/// The state that describes a room to those who are not in it: what is usual, and what the configuration adds. It takes
/// no query unless it adds a type with all its state keys, of which the room has some that are not in memory.
async fn describing(reader: &Reader<'_>, state: &StateMap) -> Result<Vec<EventNid>, StorageError> {
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
        let all: Vec<StateKeyNid> = state.keys().copied().collect();
        let all = reader.sync.db().state_keys().list(&all).await?;
        let fits = all.into_iter().filter(|(_, key)| whole.contains(&&*key.event_type));
        wanted.extend(fits.map(|(nid, _)| nid));
    }
    let mut seen = HashSet::new();
    wanted.retain(|key| seen.insert(*key));
    Ok(wanted.into_iter().filter_map(|key| state.get(&key).copied()).collect())
}

/// Write the events of a room that the user is invited to or knocks at, separated by commas. `own` is the own member event.
pub(crate) fn write_stripped_state(
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
    if let Some(told) = loaded.told.get(&own.nid) {
        write_told(told, own, out);
    }
    write_stripped(out, own, version);
}

/// Write what another server told of the state of a room that this server is not in, as it was sent, but for the user's own member
/// event, which comes by itself.
fn write_told(told: &str, own: &Event, out: &mut String) {
    #[derive(Deserialize)]
    struct Told {
        #[serde(rename = "type")]
        event_type: String,
        state_key: String,
    }
    let events: Vec<&RawValue> = serde_json::from_str(told).unwrap_or_default();
    for event in events {
        let is_own = serde_json::from_str::<Told>(event.get())
            .is_ok_and(|told| own.is_state_of(&told.event_type, &told.state_key));
        if !is_own {
            out.push_str(event.get());
            out.push(',');
        }
    }
}
