//! The state that stands beside a timeline: what the client must know before it, or after it.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use myelin_model::{Event, EventNid, StateKeyNid};
use myelin_storage::{Change, StateMap};
use ruma::{OwnedUserId, UserId};

use super::Pass;
use crate::reader::{Loaded, RoomRead, Timeline, Window, undo};

/// State events by key.
type Picked = HashMap<StateKeyNid, EventNid>;

/// The sources of one room's answer.
pub(super) struct Room<'a> {
    pub(super) pass: &'a Pass<'a>,
    pub(super) read: &'a RoomRead,
    pub(super) window: &'a Window,
    pub(super) timeline: &'a Timeline,
    pub(super) loaded: &'a Loaded,
    /// Members that the client needs to name the room.
    pub(super) heroes: &'a [&'a (OwnedUserId, EventNid)],
}

/// The state events to tell, in no order.
pub(super) fn events(room: &Room<'_>) -> Vec<Arc<Event>> {
    if room.read.bare {
        return Vec::new();
    }
    let contained: HashSet<EventNid> =
        room.timeline.events.iter().map(|(event, _)| event.nid).collect();
    let picked = if room.read.full { whole(room, &contained) } else { changed(room, &contained) };
    let nids = only_new_members(room, picked);
    let filter = &room.pass.filter().room.state;
    let find = |nid: &EventNid| {
        let loaded = room.loaded.events.get(nid);
        loaded.or_else(|| room.window.events.iter().find(|event| event.nid == *nid)).cloned()
    };
    nids.iter().filter_map(find).filter(|event| filter.allows_event(event)).collect()
}

fn wants_after(room: &Room<'_>) -> bool {
    room.pass.request.state_after.is_some()
}

/// The whole state: at the end, or before the timeline.
fn whole(room: &Room<'_>, contained: &HashSet<EventNid>) -> Vec<(StateKeyNid, EventNid)> {
    let Some(end) = room.loaded.ends.get(&room.read.room_nid) else { return Vec::new() };
    let before = before(room, end, contained);
    let members = Members::needed(room, &before, end);
    let told = if wants_after(room) { end } else { &before };
    let is_told = |key: StateKeyNid, nid: EventNid| {
        (wants_after(room) || !contained.contains(&nid)) && members.allow(room, key, nid)
    };
    told.iter().map(|(key, nid)| (*key, *nid)).filter(|(key, nid)| is_told(*key, *nid)).collect()
}

/// The state that a client must know to come to the state at the end by the timeline: that at the timeline's start, but at the end
/// where the timeline does not tell what holds there.
fn before(room: &Room<'_>, end: &StateMap, contained: &HashSet<EventNid>) -> StateMap {
    let mut before = end.clone();
    let later = room.window.events.get(room.timeline.start..).unwrap_or_default();
    for event in later.iter().rev() {
        undo(&mut before, event.state_key_nid, event.replaces);
    }
    for key in later.iter().filter_map(|event| event.state_key_nid) {
        if let Some(nid) = end.get(&key).filter(|nid| !contained.contains(nid)) {
            before.insert(key, *nid);
        }
    }
    before
}

/// The members of a whole state that are told.
enum Members {
    All,
    Only(HashSet<EventNid>),
}

impl Members {
    fn needed(room: &Room<'_>, start: &StateMap, end: &StateMap) -> Self {
        if !room.pass.filter().lazy_load_members() {
            return Self::All;
        }
        let mut needed: HashSet<EventNid> = room.heroes.iter().map(|(_, nid)| *nid).collect();
        needed.extend(speakers(room, if wants_after(room) { end } else { start }));
        // One's own, so that the client knows whether it is in the room.
        let own = StateKeyOf(room.pass.reader.user_id);
        for state in [start, end] {
            needed.extend(own.in_state(room, state));
        }
        Self::Only(needed)
    }

    fn allow(&self, room: &Room<'_>, key: StateKeyNid, nid: EventNid) -> bool {
        match self {
            Self::All => true,
            Self::Only(needed) => {
                let key = room.loaded.keys.get(&key);
                key.is_none_or(|key| &*key.event_type != "m.room.member") || needed.contains(&nid)
            }
        }
    }
}

/// The member events of a user.
struct StateKeyOf<'a>(&'a UserId);

impl StateKeyOf<'_> {
    fn in_state(&self, room: &Room<'_>, state: &StateMap) -> Option<EventNid> {
        let key = room.loaded.member_keys.get(self.0).copied().or_else(|| {
            let own = room.loaded.events.get(&room.read.member_event()?)?;
            (own.state_key.as_deref() == Some(self.0.as_str())).then_some(own.state_key_nid?)
        })?;
        state.get(&key).copied()
    }
}

/// The member events of those who speak in the timeline before it shows who they are.
fn speakers(room: &Room<'_>, state: &StateMap) -> Vec<EventNid> {
    let mut introduced: HashSet<&str> = HashSet::new();
    let mut needed = Vec::new();
    for (event, _) in &room.timeline.events {
        let sender = event.sender.as_str();
        if introduced.insert(sender) || wants_after(room) {
            needed.extend(StateKeyOf(&event.sender).in_state(room, state));
        }
        if &*event.event_type == "m.room.member"
            && let Some(state_key) = event.state_key.as_deref()
        {
            introduced.insert(state_key);
        }
    }
    needed
}

/// The state that changed since the client last heard, and does not stand in the timeline.
fn changed(room: &Room<'_>, contained: &HashSet<EventNid>) -> Vec<(StateKeyNid, EventNid)> {
    let mut picked = Picked::new();
    for row in &room.window.gap {
        if let Some(key) = row.state_key_nid {
            picked.insert(key, row.event_nid);
        }
    }
    let mut last = Picked::new();
    for (at, event) in room.window.events.iter().enumerate() {
        let Some(key) = event.state_key_nid else { continue };
        last.insert(key, event.nid);
        if at < room.timeline.start || wants_after(room) {
            picked.insert(key, event.nid);
        }
    }
    // What the filter kept out of the timeline, and still holds.
    for (key, nid) in last {
        if !contained.contains(&nid) {
            picked.insert(key, nid);
        }
    }
    for entry in &room.read.entries {
        if let Change::StateReset { state_key_nid, event_nid: Some(nid), .. } = &entry.change
            && !contained.contains(nid)
        {
            picked.insert(*state_key_nid, *nid);
        }
    }
    let mut picked: Vec<_> = picked.into_iter().collect();
    if room.pass.filter().lazy_load_members() {
        with_needed_members(room, contained, &mut picked);
    }
    picked
}

/// Add members who did not change but are needed: those who speak or name the room, and the user. All who changed are told, needed or
/// not: nobody would tell the client later who came, left or took another name meanwhile.
fn with_needed_members(
    room: &Room<'_>,
    contained: &HashSet<EventNid>,
    picked: &mut Vec<(StateKeyNid, EventNid)>,
) {
    let Some(end) = room.loaded.ends.get(&room.read.room_nid) else { return };
    let before = before(room, end, contained);
    let state = if wants_after(room) { end } else { &before };
    let mut needed: HashSet<EventNid> = speakers(room, state).into_iter().collect();
    needed.extend(room.heroes.iter().map(|(_, nid)| *nid));
    for nid in needed {
        let event = room.loaded.events.get(&nid);
        let is_told = picked.iter().any(|(_, told)| *told == nid)
            || !wants_after(room) && contained.contains(&nid);
        if let (false, Some(key)) = (is_told, event.and_then(|event| event.state_key_nid)) {
            picked.push((key, nid));
        }
    }
}

impl Room<'_> {
    fn is_member(&self, nid: EventNid) -> bool {
        let loaded = self.loaded.events.get(&nid);
        let event = loaded.or_else(|| self.window.events.iter().find(|event| event.nid == nid));
        event.is_some_and(|event| event.membership.is_some())
    }
}

/// Leave out the members that the device was told of before, and remember the others.
fn only_new_members(room: &Room<'_>, picked: Vec<(StateKeyNid, EventNid)>) -> Vec<EventNid> {
    let filter = &room.pass.filter().room.state;
    if !filter.lazy_load_members || filter.include_redundant_members {
        return picked.into_iter().map(|(_, nid)| nid).collect();
    }
    let (sent, room_nid) = (&room.pass.members, room.read.room_nid);
    let is_new = |(key, nid): &(StateKeyNid, EventNid)| {
        room.read.full || !room.is_member(*nid) || !sent.contains(room_nid, *key, *nid)
    };
    let new: Vec<_> = picked.into_iter().filter(is_new).collect();
    let told = new.iter().copied().filter(|(_, nid)| room.is_member(*nid));
    let shown = room.timeline.events.iter().filter_map(|(event, _)| {
        event.membership.and(event.state_key_nid).map(|key| (key, event.nid))
    });
    sent.add(room.pass.token(), room_nid, told.chain(shown));
    new.into_iter().map(|(_, nid)| nid).collect()
}
