//! A room's timeline: which events of a stretch of history stand in it, and what the user was when they happened.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use myelin_events::{
    redact::prune,
    sight::is_seen,
    visibility::{HistoryVisibility, Viewpoint, may_see},
};
use myelin_model::{Event, EventNid, Membership, StateKeyNid, StreamPos};
use myelin_storage::{StateMap, StretchRow};

use super::{Loaded, Reader, RoomRead, Wants};

/// An unbroken stretch of a room's history up to the end of what is told.
#[derive(Default)]
pub(crate) struct Window {
    /// The events, oldest first.
    pub(crate) events: Vec<Arc<Event>>,
    /// The same by number, until they are loaded.
    rows: Vec<StretchRow>,
    /// No event stands between what the client heard last and the first event.
    pub(crate) complete: bool,
    /// The last state events of each key before the first event.
    pub(crate) gap: Vec<StretchRow>,
}

impl Window {
    /// The events that a room has in memory.
    pub(crate) fn in_memory(room: &RoomRead) -> Self {
        let entries = room.entries.iter().filter(|entry| entry.pos <= room.end);
        let events = entries.filter_map(|entry| entry.change.as_event());
        let events = events.filter(|event| event.is_visible()).cloned();
        let own = room.row.filter(|_| room.bare).map(|row| StretchRow {
            stretch: 0,
            event_nid: row.event_nid,
            pos: row.pos,
            sender: Box::default(),
            is_member: true,
            state_key_nid: None,
            replaces: None,
        });
        let rows = own.into_iter().collect();
        let events = if room.bare { Vec::new() } else { events.collect() };
        Self { events, rows, complete: true, gap: Vec::new() }
    }

    /// Events that will be loaded.
    pub(crate) fn to_be_filled(rows: Vec<StretchRow>, complete: bool) -> Self {
        Self { events: Vec::new(), rows, complete, gap: Vec::new() }
    }

    /// Put the loaded events in.
    pub(crate) fn fill(&mut self, events: &HashMap<EventNid, Arc<Event>>) {
        // What is in memory may have been redacted since.
        for event in &mut self.events {
            if let Some(fresh) = events.get(&event.nid) {
                *event = Arc::clone(fresh);
            }
        }
        let rows = std::mem::take(&mut self.rows);
        self.events.extend(rows.iter().filter_map(|row| events.get(&row.event_nid)).cloned());
        self.gap.retain(|row| events.contains_key(&row.event_nid));
    }

    /// Collect the events that are to be loaded. What was redacted since it came into memory is among them: also by a redaction
    /// that comes after the end of what is told.
    pub(crate) fn want(&self, room: &RoomRead, wanted: &mut HashSet<EventNid>) {
        for row in self.rows.iter().chain(&self.gap) {
            wanted.insert(row.event_nid);
        }
        for row in self.rows.iter().filter(|row| row.state_key_nid.is_some()) {
            wanted.extend(row.replaces);
        }
        for entry in &room.entries {
            wanted.extend(entry.change.as_event().and_then(|event| event.redacts));
        }
        for event in &self.events {
            if event.is_state() {
                wanted.extend(event.replaces);
            }
        }
    }

    /// Whether members may have come or gone.
    pub(crate) fn may_change_members(&self) -> bool {
        self.events.iter().any(|event| event.membership.is_some())
            || self.rows.iter().chain(&self.gap).any(|row| row.is_member)
    }

    /// Whether it has more events than a timeline, or there are more before it.
    pub(crate) fn is_longer_than(&self, limit: usize) -> bool {
        !self.complete || self.events.len() + self.rows.len() > limit
    }

    /// The events that are not state.
    pub(crate) fn messages(&self) -> impl Iterator<Item = EventNid> {
        let loaded = self.events.iter().filter(|event| !event.is_state()).map(|event| event.nid);
        let rows = self.rows.iter().filter(|row| row.state_key_nid.is_none());
        loaded.chain(rows.map(|row| row.event_nid))
    }

    /// The senders of the events, each as often as it sent.
    pub(crate) fn senders(&self) -> impl Iterator<Item = &str> {
        let loaded = self.events.iter().map(|event| event.sender.as_str());
        loaded.chain(self.rows.iter().map(|row| &*row.sender))
    }
}

/// A room's timeline.
pub(crate) struct Timeline {
    /// The events, oldest first, with what the user was when they happened.
    pub(crate) events: Vec<(Arc<Event>, Option<Membership>)>,
    /// The index in the window at which the timeline starts. Earlier events of the window are told by the state.
    pub(crate) start: usize,
    /// Events before the first one exist that the client has not heard of.
    pub(crate) limited: bool,
    /// The events up to this position stand before the timeline.
    pub(crate) before: StreamPos,
    /// The events of the window that the user sees, where what relates to others is told.
    pub(crate) seen: HashSet<EventNid>,
}

/// Cut a timeline from a window.
pub(crate) fn cut(
    reader: &Reader<'_>,
    wants: &Wants<'_>,
    room: &RoomRead,
    window: &Window,
    loaded: &Loaded,
) -> Timeline {
    let limit = room.timeline_limit;
    let seen = viewpoints(reader, room, window, loaded);
    let filter = wants.timeline;
    let mut events = Vec::new();
    let (mut start, mut limited) = (window.events.len(), false);
    let mut last_told = LastTold::of(wants, room, loaded);
    for (at, (event, seen)) in window.events.iter().zip(&seen).enumerate().rev() {
        let passes = seen.visible
            && filter.allows_event(event)
            && loaded.passing.as_ref().is_none_or(|passing| passing.contains(&event.nid));
        if events.len() == limit {
            if passes || limit == 0 {
                limited = true;
                break;
            }
        } else if passes {
            if last_told.as_mut().is_some_and(|last| !last.allows(event)) {
                limited = true;
                break;
            }
            let event = match loaded.room(room.room_nid) {
                Some((_, version)) if reader.is_pruned(event, seen.was_joined) => {
                    Arc::new(prune(event, version))
                }
                Some(_) | None => Arc::clone(event),
            };
            events.push((event, seen.membership));
            start = at;
        }
    }
    events.reverse();
    limited |= !window.complete;
    if room.newly_joined {
        limited = true;
    }
    let first = window.events.get(start);
    let before = match first.and_then(|event| event.pos) {
        Some(pos) => StreamPos(pos.0 - 1),
        None => room.end,
    };
    let visible = window.events.iter().zip(&seen).filter(|(_, seen)| seen.visible);
    let seen = if loaded.related.is_empty() {
        HashSet::new()
    } else {
        visible.map(|(event, _)| event.nid).collect()
    };
    Timeline { events, start, limited, before, seen }
}

/// The keys of the state that a timeline told, from its end backwards.
///
/// A client takes the timeline in after the state that stands before it. Where an event is followed by another of its key that the
/// client does not see, in the timeline of a room whose history is partly hidden, by a filter, or because resolution decided
/// otherwise, it would be the last that the client hears of: the timeline starts after it, and the state tells what holds.
struct LastTold<'a> {
    end: &'a StateMap,
    keys: HashSet<StateKeyNid>,
}

impl<'a> LastTold<'a> {
    /// Nothing was told yet. `None` where the end is not what the timeline leads to: the client does not take it so, or hears of
    /// events after the state that it may know.
    fn of(wants: &Wants<'_>, room: &RoomRead, loaded: &'a Loaded) -> Option<Self> {
        let leads_to_end = wants.state_first && room.departure.is_none();
        let end = loaded.ends.get(&room.room_nid).filter(|_| leads_to_end)?;
        Some(Self { end, keys: HashSet::new() })
    }

    /// Whether an event may be told before those that were.
    fn allows(&mut self, event: &Event) -> bool {
        let Some(key) = event.state_key_nid else { return true };
        !self.keys.insert(key) || self.end.get(&key) == Some(&event.nid)
    }
}

/// The user's view of one event.
#[derive(Clone, Copy)]
struct Seen {
    visible: bool,
    /// The user was in the room before the event or after it.
    was_joined: bool,
    membership: Option<Membership>,
}

/// The user's view of each event of a window, in their order. Where the room has branches there, it has been looked up. Otherwise each
/// event was taken into the state of the one before it, so that the states follow from the last one, back from event to event.
fn viewpoints(reader: &Reader<'_>, room: &RoomRead, window: &Window, loaded: &Loaded) -> Vec<Seen> {
    let sees = |event: &Event, is_allowed: bool| {
        is_seen(event, reader.user_id, &reader.personal.ignored, |_| is_allowed)
    };
    if let Some(sight) = loaded.sights.get(&room.room_nid) {
        let see = |event: &Arc<Event>| Seen {
            visible: sight.may_see(event),
            was_joined: sight.was_joined_at(event),
            membership: sight.membership_at(event),
        };
        return window.events.iter().map(see).collect();
    }
    if room.since.is_some() && room.own.was_joined_throughout() {
        let membership = Some(Membership::Join);
        return window
            .events
            .iter()
            .map(|event| Seen { visible: sees(event, true), was_joined: true, membership })
            .collect();
    }
    let mut seen = Vec::with_capacity(window.events.len());
    let mut membership = room.membership();
    let mut joined_since = room.is_joined();
    let mut visibility = visibility_at_end(reader, room, loaded);
    for event in window.events.iter().rev() {
        let mut view = Viewpoint::at(visibility, membership, joined_since);
        let replaced = event.replaces.and_then(|nid| loaded.events.get(&nid));
        let is_own = event.is_state_of("m.room.member", reader.user_id.as_str());
        if is_own {
            view.membership_after = event.membership;
            view.membership_before = replaced.and_then(|event| event.membership);
        } else if event.is_state_of("m.room.history_visibility", "") {
            view.visibility_before = replaced
                .map_or_else(Default::default, |event| HistoryVisibility::parse(content(event)));
        }
        let visible = sees(event, may_see(&view));
        let was_joined =
            [view.membership_before, view.membership_after].contains(&Some(Membership::Join));
        seen.push(Seen { visible, was_joined, membership: view.membership_after });
        membership = view.membership_before;
        visibility = view.visibility_before;
        joined_since |= membership == Some(Membership::Join);
    }
    seen.reverse();
    seen
}

fn visibility_at_end(reader: &Reader<'_>, room: &RoomRead, loaded: &Loaded) -> HistoryVisibility {
    let Some(end) = loaded.ends.get(&room.room_nid) else {
        return HistoryVisibility::Joined;
    };
    let event = end.get(&reader.keys.history_visibility).and_then(|nid| loaded.events.get(nid));
    event.map_or_else(Default::default, |event| HistoryVisibility::parse(content(event)))
}

fn content(event: &Event) -> &str {
    myelin_events::pdu::content_of(&event.json).unwrap_or("{}")
}
