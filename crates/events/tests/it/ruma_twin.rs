//! The same questions put to ruma, whose answers must be ours.

use std::{
    borrow::Borrow as _,
    cell::OnceCell,
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use myelin_events::{Pdu, RoomVersion, auth::AuthError};
use ruma::{
    EventId, MilliSecondsSinceUnixEpoch, OwnedEventId, RoomId, UInt, UserId,
    events::{StateEventType, TimelineEventType},
    room_version_rules::StateResolutionVersion,
    state_res::{self, Event, StateMap, utils::event_id_set::EventIdSet},
};
use serde_json::value::RawValue;

use super::room::{Room, State};

#[derive(Clone)]
pub struct Twin(Arc<Inner>);

struct Inner {
    pdu: Arc<Pdu>,
    event_type: TimelineEventType,
    content: Box<RawValue>,
}

impl Twin {
    fn new(pdu: &Arc<Pdu>) -> Self {
        let content = RawValue::from_string(pdu.content().to_owned()).unwrap();
        Self(Arc::new(Inner { event_type: (*pdu.event_type).into(), content, pdu: pdu.clone() }))
    }
}

impl Event for Twin {
    type Id = OwnedEventId;

    fn event_id(&self) -> &OwnedEventId {
        &self.0.pdu.event_id
    }

    fn room_id(&self) -> Option<&RoomId> {
        let is_root = self.0.pdu.version.has_hashed_room_ids()
            && self.0.event_type == TimelineEventType::RoomCreate;
        (!is_root).then_some(&self.0.pdu.room_id)
    }

    fn sender(&self) -> &UserId {
        &self.0.pdu.sender
    }

    fn origin_server_ts(&self) -> MilliSecondsSinceUnixEpoch {
        MilliSecondsSinceUnixEpoch(UInt::try_from(self.0.pdu.origin_server_ts).unwrap())
    }

    fn event_type(&self) -> &TimelineEventType {
        &self.0.event_type
    }

    fn content(&self) -> &RawValue {
        &self.0.content
    }

    fn state_key(&self) -> Option<&str> {
        self.0.pdu.state_key.as_deref()
    }

    fn prev_events(&self) -> Box<dyn DoubleEndedIterator<Item = &OwnedEventId> + '_> {
        Box::new(self.0.pdu.prev_events.iter())
    }

    fn auth_events(&self) -> Box<dyn DoubleEndedIterator<Item = &OwnedEventId> + '_> {
        Box::new(self.0.pdu.auth_events.iter())
    }

    fn redacts(&self) -> Option<&OwnedEventId> {
        self.0.pdu.redacts.as_ref()
    }

    fn rejected(&self) -> bool {
        self.0.pdu.rejected
    }
}

/// The levels that power levels have by name.
const LEVELS: &[&str] =
    &["users_default", "events_default", "state_default", "ban", "redact", "kick", "invite"];

/// Whether the event adds or removes a level by name. ruma compares an absent level as its default; Synapse, whose verdicts the
/// vectors hold, and we do not: absent is another thing than any number.
fn adds_or_removes_a_level(room: &Room, state: &State, event: &Pdu) -> bool {
    let current = room.find(state, "m.room.power_levels", "");
    &*event.event_type == "m.room.power_levels"
        && current.as_ref().is_some_and(|current| levels_by_name(current) != levels_by_name(event))
}

/// Whether ruma compares the levels of this history as we do: no event adds or removes one by name.
pub fn compares_levels_alike(room: &Room) -> bool {
    let mut names = room
        .events
        .iter()
        .filter(|event| &*event.event_type == "m.room.power_levels")
        .map(|event| levels_by_name(event));
    let first = names.next();
    names.all(|names| Some(&names) == first.as_ref())
}

/// The levels by name that power levels have.
fn levels_by_name(power_levels: &Pdu) -> Vec<bool> {
    let content: serde_json::Value =
        serde_json::from_str(power_levels.content()).unwrap_or_default();
    LEVELS.iter().map(|name| content.get(name).is_some()).collect()
}

/// ruma's auth rules say the same of the event in this state, whatever it cites.
pub fn compare_state_check(
    room: &Room,
    state: &State,
    event: &Arc<Pdu>,
    ours: &Result<(), AuthError>,
) {
    if adds_or_removes_a_level(room, state, event) {
        return;
    }
    let find = |event_type: &StateEventType, state_key: &str| {
        room.find(state, &event_type.to_string(), state_key).as_ref().map(Twin::new)
    };
    let theirs = state_res::check_state_dependent_auth_rules(
        room.version.auth_rules(),
        Twin::new(event),
        find,
    );
    assert_eq!(
        theirs.is_ok(),
        ours.is_ok(),
        "version {}, {}: ruma {theirs:?}, we {ours:?}",
        room.version,
        event.json()
    );
}

/// ruma's auth rules say the same of the event in this state.
pub fn compare_check(room: &Room, state: &State, event: &Arc<Pdu>, ours: &Result<(), AuthError>) {
    let rules = room.version.auth_rules();
    let twin = Twin::new(event);
    if &*event.event_type == "m.room.create" {
        let theirs = state_res::check_state_independent_auth_rules(rules, &twin, |_| None::<Twin>);
        assert_eq!(theirs.is_ok(), ours.is_ok(), "{}: ruma {theirs:?}, we {ours:?}", event.json());
        return;
    }
    compare_state_check(room, state, event, ours);
    let citing = state_res::check_state_independent_auth_rules(rules, &twin, |id: &EventId| {
        room.numbers.get(id).map(|number| Twin::new(&room.events[*number as usize]))
    });
    assert_eq!(citing, Ok(()));
}

/// A room state by names.
pub type Names = BTreeMap<(String, String), OwnedEventId>;

/// ruma's resolution of the states, by names. `None` where it has none (version 1).
pub fn resolve(room: &Room, states: &[State]) -> Option<Names> {
    Prepared::new(room, states).resolve()
}

/// States and events in the form that ruma takes.
pub struct Prepared<'r> {
    room: &'r Room,
    twins: HashMap<OwnedEventId, Twin>,
    maps: Vec<StateMap<OwnedEventId>>,
    chains: Vec<EventIdSet<OwnedEventId>>,
    /// The conflicted state subgraph, once it was asked for.
    subgraph: OnceCell<EventIdSet<OwnedEventId>>,
}

impl<'r> Prepared<'r> {
    pub fn new(room: &'r Room, states: &[State]) -> Self {
        let maps: Vec<StateMap<OwnedEventId>> = states
            .iter()
            .map(|state| {
                room.names(state)
                    .into_iter()
                    .map(|((kind, key), id)| ((kind.into(), key), id))
                    .collect()
            })
            .collect();
        let chains = maps.iter().map(|map| chain(room, map.values())).collect();
        let twins =
            room.events.iter().map(|event| (event.event_id.clone(), Twin::new(event))).collect();
        Self { room, twins, maps, chains, subgraph: OnceCell::new() }
    }

    /// The auth chains of the states: [`Prepared::resolve_maps`] uses them up.
    pub fn chains(&self) -> Vec<EventIdSet<OwnedEventId>> {
        self.chains.clone()
    }

    pub fn resolve(&self) -> Option<Names> {
        let resolved = self.resolve_maps(self.chains())?;
        Some(resolved.into_iter().map(|((kind, key), id)| ((kind.to_string(), key), id)).collect())
    }

    /// The state that ruma gives, as it gives it.
    pub fn resolve_maps(
        &self,
        chains: Vec<EventIdSet<OwnedEventId>>,
    ) -> Option<StateMap<OwnedEventId>> {
        let StateResolutionVersion::V2(rules) = &self.room.version.rules().state_res else {
            return None;
        };
        let resolved = state_res::resolve(
            self.room.version.auth_rules(),
            rules,
            &self.maps,
            chains,
            |id: &EventId| self.twins.get(id).cloned(),
            |conflicted: &StateMap<Vec<OwnedEventId>>| {
                let find = || subgraph(self.room, conflicted.values().flatten());
                Some(self.subgraph.get_or_init(find).clone())
            },
        )
        .unwrap();
        Some(resolved)
    }
}

fn chain<'a>(
    room: &Room,
    from: impl Iterator<Item = &'a OwnedEventId>,
) -> EventIdSet<OwnedEventId> {
    let mut chain = EventIdSet::new();
    let mut open: Vec<OwnedEventId> = from.cloned().collect();
    while let Some(id) = open.pop() {
        if chain.insert(id.clone()) {
            open.extend(room.events[room.numbers[&id] as usize].auth_events.iter().cloned());
        }
    }
    chain
}

/// The subgraph by its definition: what a conflicted event leads to and what leads to a conflicted event.
fn subgraph<'a>(
    room: &Room,
    conflicted: impl Iterator<Item = &'a OwnedEventId> + Clone,
) -> EventIdSet<OwnedEventId> {
    let conflicted: Vec<OwnedEventId> = conflicted.cloned().collect();
    let mut subgraph = EventIdSet::new();
    for id in chain(room, conflicted.iter()).iter() {
        let below = chain(room, std::iter::once(id));
        if conflicted.iter().any(|end| below.contains(end.borrow())) {
            subgraph.insert(id.clone());
        }
    }
    subgraph
}

/// The versions whose resolution ruma has.
pub fn covers(version: RoomVersion) -> bool {
    version != RoomVersion::V1
}
