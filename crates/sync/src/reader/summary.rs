//! The summary of a room: what a client needs to name a room that has no name.

use std::collections::HashSet;

use myelin_model::EventNid;
use myelin_storage::{MemberSummary, StateMap};
use ruma::OwnedUserId;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Loaded, Reader, RoomRead, Timeline, Window};

/// The number of members that name a room.
const HEROES_MAX: usize = 5;

/// The members that may name a room.
fn heroes<'a>(
    reader: &'a Reader<'_>,
    summary: &'a MemberSummary,
) -> impl Iterator<Item = &'a (OwnedUserId, EventNid)> {
    let others = |members: &'a [(OwnedUserId, EventNid)]| {
        members.iter().filter(|(user_id, _)| *user_id != *reader.user_id).take(HEROES_MAX)
    };
    let gone: &[_] = if others(&summary.here).next().is_none() { &summary.gone } else { &[] };
    others(&summary.here).chain(others(gone))
}

/// Collect the events that heroes are told by.
pub(super) fn want(reader: &Reader<'_>, summary: &MemberSummary, wanted: &mut HashSet<EventNid>) {
    wanted.extend(heroes(reader, summary).map(|(_, nid)| *nid));
}

/// The events that may name a room.
pub(super) fn named_by(reader: &Reader<'_>, state: &StateMap) -> impl Iterator<Item = EventNid> {
    let name = state.get(&reader.keys.name).copied();
    name.into_iter().chain(state.get(&reader.keys.canonical_alias).copied())
}

/// The members of a room, in short.
pub(crate) struct Summary<'a> {
    /// The numbers of joined and of invited members.
    pub(crate) members: &'a MemberSummary,
    /// The members that the client names the room by, with their member events. `None`: the room has a name.
    pub(crate) heroes: Option<Vec<&'a (OwnedUserId, EventNid)>>,
}

/// The summary, where the members changed or the room is told whole.
pub(crate) fn summary<'a>(
    reader: &'a Reader<'_>,
    room: &RoomRead,
    window: &Window,
    timeline: &Timeline,
    loaded: &'a Loaded,
) -> Option<Summary<'a>> {
    let room_nid = room.room_nid;
    let in_gap = || {
        let mut gap = window.gap.iter().filter_map(|row| loaded.events.get(&row.event_nid));
        gap.any(|event| event.membership.is_some())
    };
    let changed = room.full
        || window.events.iter().any(|event| event.membership.is_some())
        || timeline.limited && in_gap();
    let members = loaded.summaries.get(&room_nid).filter(|_| changed)?;
    let is_named = loaded.ends.get(&room_nid).is_some_and(|end| {
        named_by(reader, end)
            .filter_map(|nid| loaded.events.get(&nid))
            // Redaction leaves nothing of a name.
            .filter(|event| event.redacted_by.is_none())
            .any(|event| gives_name(myelin_events::pdu::content_of(&event.json).unwrap_or("{}")))
    });
    let heroes = (!is_named).then(|| heroes(reader, members).collect());
    Some(Summary { members, heroes })
}

/// Whether the content of a name or an alias names the room.
fn gives_name(content: &str) -> bool {
    #[derive(Deserialize)]
    struct Content<'a> {
        #[serde(borrow)]
        name: Option<&'a RawValue>,
        #[serde(borrow)]
        alias: Option<&'a RawValue>,
    }
    let filled = |value: Option<&RawValue>| {
        value.is_some_and(|value| value.get().starts_with('"') && value.get() != "\"\"")
    };
    serde_json::from_str::<Content<'_>>(content)
        .is_ok_and(|content| filled(content.name) || filled(content.alias))
}
