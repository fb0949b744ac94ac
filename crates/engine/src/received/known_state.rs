//! A part of a state that is not the room's current one, and checks against it.

use std::{cell::Cell, sync::Arc};

use myelin_events::{
    Pdu, RoomVersion,
    auth::{self, AuthError, Create, LookupState, PowerLevels},
};
use myelin_model::EventNid;
use myelin_storage::{StateKey, StateMap, StorageError};

use crate::{
    Engine, EventError,
    known::{Known, Slot, StateEvent},
};

/// The parts of the state that decide on an event.
pub(super) fn wanted(pdu: &Pdu) -> Vec<(&'static str, String)> {
    // What nothing can entitle is refused by the check that asks for the same.
    let mut wanted = auth::auth_types_for(
        pdu.version,
        &pdu.event_type,
        &pdu.sender,
        pdu.state_key.as_deref(),
        pdu.content(),
    )
    .unwrap_or_default();
    for kind in ["m.room.create", "m.room.power_levels"] {
        if !wanted.iter().any(|(other, _)| *other == kind) {
            wanted.push((kind, String::new()));
        }
    }
    wanted
}

/// The part of a state that belongs to some keys. It takes at most two queries.
pub(super) async fn load(
    engine: &Engine,
    version: RoomVersion,
    state: &StateMap,
    keys: &[(&str, String)],
) -> Result<Known, EventError> {
    let keys: Vec<StateKey> = keys.iter().map(|(kind, key)| StateKey::new(kind, key)).collect();
    let key_nids = engine.db().state_keys().find_many(&keys).await?;
    let nids: Vec<EventNid> = key_nids.values().filter_map(|key| state.get(key).copied()).collect();
    let events = engine.db().events().find_many(&nids).await?;
    let mut known = Known::default();
    for key in keys {
        let key_nid = key_nids.get(&key).copied();
        let named = key_nid.and_then(|key| Some((key, *state.get(&key)?)));
        let slot = match named {
            None => Slot::Absent { key: key_nid },
            Some((key, nid)) => {
                let event = events.get(&nid).ok_or(EventError::NotLoaded)?;
                Slot::Event { key, event: Arc::new(StateEvent::read(event, version, false)?) }
            }
        };
        known.insert(&key.event_type, &key.state_key, slot);
    }
    Ok(known)
}

/// The verdict of the auth rules on an event by a part of a state. Fails where they ask for what was not loaded.
pub(super) fn check(pdu: &Pdu, known: &Known) -> Result<Result<(), AuthError>, EventError> {
    let is_incomplete = Cell::new(false);
    let lookup = |event_type: &str, state_key: &str| match known.find(event_type, state_key) {
        Some(slot) => slot.event().map(|event| &event.pdu),
        None => {
            is_incomplete.set(true);
            None
        }
    };
    let verdict = auth::check(pdu.version, pdu, &LookupState::new(pdu.version, lookup));
    if is_incomplete.get() {
        return Err(EventError::NotLoaded);
    }
    Ok(verdict)
}

/// The power levels of a part of a state. `None` if it has no create event that can be read.
pub(super) fn levels(
    version: RoomVersion,
    known: &Known,
) -> Result<Option<PowerLevels>, EventError> {
    let find = |kind| known.find(kind, "").map(Slot::event).ok_or(EventError::NotLoaded);
    let Some(create) = find("m.room.create")? else { return Ok(None) };
    let Ok(create) = Create::parse(version, &create.pdu) else { return Ok(None) };
    let content = find("m.room.power_levels")?.map(|event| event.pdu.content());
    Ok(Some(PowerLevels::new(Arc::new(create), content)))
}

/// State events by number, parsed, redacted where they were redacted. Those that are not there are missing. It takes at
/// most one query.
pub(super) async fn read_events(
    engine: &Engine,
    version: RoomVersion,
    nids: &[EventNid],
) -> Result<Vec<Arc<StateEvent>>, StorageError> {
    let events = engine.db().events().find_judged(nids).await?;
    events.values().map(|event| StateEvent::read(event, version, false).map(Arc::new)).collect()
}
