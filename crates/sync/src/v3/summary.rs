//! What a client needs to name a room that has no name.

use std::collections::HashSet;

use myelin_events::canonical::write_string;
use myelin_model::EventNid;
use myelin_storage::{MemberSummary, StateMap};
use ruma::OwnedUserId;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    Pass,
    load::Loaded,
    plan::RoomTask,
    timeline::{Timeline, Window},
};

/// How many members name a room.
const HEROES_MAX: usize = 5;

/// The members that may name a room.
fn heroes<'a>(
    pass: &'a Pass<'_>,
    summary: &'a MemberSummary,
) -> impl Iterator<Item = &'a (OwnedUserId, EventNid)> {
    let others = |members: &'a [(OwnedUserId, EventNid)]| {
        members.iter().filter(|(user_id, _)| *user_id != *pass.user_id()).take(HEROES_MAX)
    };
    let gone: &[_] = if others(&summary.here).next().is_none() { &summary.gone } else { &[] };
    others(&summary.here).chain(others(gone))
}

/// Collect the events that heroes are told by.
pub(super) fn want(pass: &Pass<'_>, summary: &MemberSummary, wanted: &mut HashSet<EventNid>) {
    wanted.extend(heroes(pass, summary).map(|(_, nid)| *nid));
}

/// The events that may name a room.
pub(super) fn named_by(pass: &Pass<'_>, state: &StateMap) -> impl Iterator<Item = EventNid> {
    let name = state.get(&pass.keys.name).copied();
    name.into_iter().chain(state.get(&pass.keys.canonical_alias).copied())
}

/// A room's summary.
#[derive(Default)]
pub(super) struct Summary {
    /// As JSON.
    pub(super) json: String,
    /// The member events of the heroes.
    pub(super) heroes: Vec<EventNid>,
}

/// The summary, where the members changed or the room is told whole; else it is empty.
pub(super) fn summary(
    pass: &Pass<'_>,
    task: &RoomTask,
    window: &Window,
    timeline: &Timeline,
    loaded: &Loaded,
) -> Summary {
    let room_nid = task.row.room_nid;
    let in_gap = || {
        let mut gap = window.gap.iter().filter_map(|row| loaded.events.get(&row.event_nid));
        gap.any(|event| event.membership.is_some())
    };
    let changed = task.full
        || window.events.iter().any(|event| event.membership.is_some())
        || timeline.limited && in_gap();
    let Some(row) = loaded.summaries.get(&room_nid).filter(|_| changed) else {
        return Summary { json: "{}".to_owned(), heroes: Vec::new() };
    };
    let mut json = String::from("{");
    let mut named = false;
    if let Some(end) = loaded.ends.get(&room_nid) {
        named = named_by(pass, end)
            .filter_map(|nid| loaded.events.get(&nid))
            .any(|event| gives_name(myelin_events::pdu::content_of(&event.json).unwrap_or("{}")));
    }
    let mut member_events = Vec::new();
    if !named {
        json.push_str("\"m.heroes\":[");
        for (at, (user_id, nid)) in heroes(pass, row).enumerate() {
            if at > 0 {
                json.push(',');
            }
            write_string(&mut json, user_id.as_str());
            member_events.push(*nid);
        }
        json.push_str("],");
    }
    json.push_str(&format!(
        "\"m.invited_member_count\":{},\"m.joined_member_count\":{}}}",
        row.invited, row.joined
    ));
    Summary { json, heroes: member_events }
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
