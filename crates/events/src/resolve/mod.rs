//! State resolution: the one state that follows from several (room versions 1, 2 and 12, "State resolution").
//!
//! [`Conflict::split`] finds where the states differ, and [`Conflict::resolve`] decides there. What is the same in all states is not
//! looked at but where a rule asks for it, so resolving costs what the conflict costs, not what the room's state does.

mod graph;
mod power_sort;
mod resolver;
mod v1;
mod v2;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    hash::Hash,
};

use imbl::OrdMap;

use crate::{auth::AuthEvent, version::RoomVersion};

/// The events of a room, as resolution asks for them. IDs and keys are whatever is cheap: numbers of the database, for example.
///
/// Called many times from one thread, without `async`: run it off the async threads where answers may need I/O.
pub trait RoomEvents {
    /// Names an event.
    type Id: Copy + Eq + Ord + Hash + fmt::Debug;
    /// Names a pair of event type and state key.
    type Key: Copy + Eq + Ord + Hash + fmt::Debug;
    /// A state event. Cloned often: an `Arc` or a reference.
    type Event: AuthEvent + Clone;

    /// An event. `None` leaves it out of the resolution, as events that nobody can get must be.
    fn event(&self, id: Self::Id) -> Option<Self::Event>;
    /// Append the event's `auth_events` (those that are known).
    fn auth_events(&self, id: Self::Id, into: &mut Vec<Self::Id>);
    /// The key of a pair. `None` if no event has it.
    fn key(&self, event_type: &str, state_key: &str) -> Option<Self::Key>;
    /// The room's create event.
    fn create(&self) -> Option<Self::Id>;
    /// Says which events will be asked for next, so that they can be loaded together.
    fn prefetch(&self, ids: &[Self::Id]) {
        let _ = ids;
    }
}

/// A room state.
pub type StateMap<R> = OrdMap<<R as RoomEvents>::Key, <R as RoomEvents>::Id>;

/// Several states, split into what they agree on and what they do not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict<K, I>
where
    K: Ord + Clone,
    I: Ord + Clone,
{
    /// The events that all states agree on.
    pub unconflicted: OrdMap<K, I>,
    /// The different events of each key that they do not agree on.
    pub conflicted: BTreeMap<K, Vec<I>>,
    /// The conflicted events by state, as the auth-chain difference needs them.
    pub conflicted_by_state: Vec<Vec<I>>,
}

impl<K: Copy + Ord, I: Copy + Ord> Conflict<K, I> {
    /// Compare states. Cheap where the maps were made from each other by a few changes.
    pub fn split(version: RoomVersion, states: &[OrdMap<K, I>]) -> Self {
        let mut unconflicted = states.first().cloned().unwrap_or_default();
        let mut conflicted: BTreeMap<K, Vec<I>> = BTreeMap::new();
        for state in states.iter().skip(1) {
            for difference in states.first().into_iter().flat_map(|first| first.diff(state)) {
                let key = match difference {
                    imbl::ordmap::DiffItem::Add(key, _)
                    | imbl::ordmap::DiffItem::Remove(key, _) => key,
                    imbl::ordmap::DiffItem::Update { new: (key, _), .. } => key,
                };
                conflicted.entry(*key).or_default();
            }
        }
        for (key, events) in &mut conflicted {
            events.extend(states.iter().filter_map(|state| state.get(key).copied()));
            events.sort_unstable();
            events.dedup();
            unconflicted.remove(key);
        }
        if version.state_resolution().is_none() {
            // The first algorithm takes absence for no opinion.
            conflicted.retain(|key, events| match events[..] {
                [only] => {
                    unconflicted.insert(*key, only);
                    false
                }
                _ => true,
            });
        }
        let conflicted_by_state = states
            .iter()
            .map(|state| conflicted.keys().filter_map(|key| state.get(key).copied()).collect())
            .collect();
        Self { unconflicted, conflicted, conflicted_by_state }
    }

    /// Whether the states agree, so that [`Conflict::unconflicted`] is the outcome.
    pub fn is_empty(&self) -> bool {
        self.conflicted.is_empty()
    }

    /// The state that follows. `others` have the full conflicted set but for the conflicted events themselves: the events that are in
    /// the auth chains of some of the states, not of all, where a chain includes the events of the state themselves, and since version 12
    /// the events on the paths between conflicted ones. Version 1 does not use it. An index gives it quickest; without one, see
    /// [`Conflict::walk`].
    ///
    /// Events that [`RoomEvents::event`] does not give are left out.
    pub fn resolve<R>(
        self,
        version: RoomVersion,
        room: &R,
        others: impl IntoIterator<Item = I>,
    ) -> OrdMap<K, I>
    where
        R: RoomEvents<Id = I, Key = K>,
        K: Hash + fmt::Debug,
        I: Hash + fmt::Debug,
    {
        if self.is_empty() {
            return self.unconflicted;
        }
        match version.state_resolution() {
            None => v1::resolve(version, self, room),
            Some(rules) => v2::resolve(version, rules, self, room, others),
        }
    }

    /// The full conflicted set but for the conflicted events, sorted, found by walking auth chains: those of the conflicted events, and
    /// of the others as far as needed.
    pub fn walk<R>(&self, version: RoomVersion, room: &R) -> Vec<I>
    where
        R: RoomEvents<Id = I, Key = K>,
        K: Hash + fmt::Debug,
        I: Hash + fmt::Debug,
    {
        let Some(rules) = version.state_resolution().filter(|_| !self.is_empty()) else {
            return Vec::new();
        };
        let mut others: BTreeSet<I> =
            graph::auth_difference(room, &self.unconflicted, &self.conflicted_by_state);
        if rules.consider_conflicted_state_subgraph {
            let conflicted = self.conflicted.values().flatten().copied().collect();
            others.extend(graph::conflicted_subgraph(room, &conflicted));
        }
        for id in self.conflicted.values().flatten() {
            others.remove(id);
        }
        others.into_iter().collect()
    }
}

/// Resolve states without an index of auth chains.
pub fn resolve<R: RoomEvents>(
    version: RoomVersion,
    states: &[StateMap<R>],
    room: &R,
) -> StateMap<R> {
    let conflict = Conflict::split(version, states);
    let others = conflict.walk(version, room);
    conflict.resolve(version, room, others)
}
