//! State resolution of version 1.

use std::{cmp::Reverse, collections::HashMap, fmt, hash::Hash};

use imbl::OrdMap;
use sha1::{Digest as _, Sha1};

use super::{
    Conflict, RoomEvents,
    resolver::{Resolver, ResolvingState},
};
use crate::{
    auth::{self, AuthEvent},
    version::RoomVersion,
};

/// The kinds whose conflicts are settled in this order, before those of all others.
const KINDS_FIRST: [&str; 3] = ["m.room.power_levels", "m.room.join_rules", "m.room.member"];

/// The events that contend for a key, oldest first.
type Candidates<R> = Vec<(<R as RoomEvents>::Id, <R as RoomEvents>::Event)>;

pub(super) fn resolve<R, K, I>(
    version: RoomVersion,
    conflict: Conflict<K, I>,
    room: &R,
) -> OrdMap<K, I>
where
    R: RoomEvents<Id = I, Key = K>,
    K: Copy + Ord + Hash + fmt::Debug,
    I: Copy + Ord + Hash + fmt::Debug,
{
    let resolver = Resolver::new(version, room);
    let mut state = conflict.unconflicted;
    let ids: Vec<I> = conflict.conflicted.values().flatten().copied().collect();
    room.prefetch(&ids);
    let mut open: Vec<(K, Candidates<R>)> = Vec::with_capacity(conflict.conflicted.len());
    for (key, ids) in conflict.conflicted {
        let mut events: Candidates<R> =
            ids.into_iter().filter_map(|id| Some((id, resolver.event(id)?))).collect();
        // Ascending by depth, then descending by hash.
        events.sort_by_cached_key(|(_, event)| {
            (event.depth(), Reverse(<[u8; 20]>::from(Sha1::digest(event.event_id().as_str()))))
        });
        match &events[..] {
            [] => {}
            [(only, _)] => {
                state.insert(key, *only);
            }
            _ => open.push((key, events)),
        }
    }
    for kind in KINDS_FIRST {
        let is_kind = |events: &[(I, R::Event)]| {
            events.first().is_some_and(|(_, event)| event.event_type() == kind)
        };
        // Conflicts of one kind do not see each other's outcome.
        let settled: Vec<(K, I)> = open
            .iter()
            .filter(|(_, events)| is_kind(events))
            .filter_map(|(key, events)| {
                Some((*key, settle_in_order(&resolver, &state, *key, events)?))
            })
            .collect();
        open.retain(|(_, events)| !is_kind(events));
        state.extend(settled);
    }
    let settled: Vec<(K, I)> = open
        .iter()
        .filter_map(|(key, events)| Some((*key, pick_newest(&resolver, &state, events)?)))
        .collect();
    state.extend(settled);
    state
}

/// The last of the events that each allow the next.
fn settle_in_order<R: RoomEvents>(
    resolver: &Resolver<'_, R>,
    state: &OrdMap<R::Key, R::Id>,
    key: R::Key,
    events: &[(R::Id, R::Event)],
) -> Option<R::Id> {
    let ((first, _), rest) = events.split_first()?;
    let mut last = *first;
    for (id, event) in rest {
        if !is_allowed(resolver, state, &HashMap::from([(key, last)]), event) {
            break;
        }
        last = *id;
    }
    Some(last)
}

/// The newest event that is allowed, else the oldest.
fn pick_newest<R: RoomEvents>(
    resolver: &Resolver<'_, R>,
    state: &OrdMap<R::Key, R::Id>,
    events: &[(R::Id, R::Event)],
) -> Option<R::Id> {
    let allowed =
        events.iter().rev().find(|(_, event)| is_allowed(resolver, state, &HashMap::new(), event));
    allowed.or(events.first()).map(|(id, _)| *id)
}

fn is_allowed<R: RoomEvents>(
    resolver: &Resolver<'_, R>,
    state: &OrdMap<R::Key, R::Id>,
    resolved: &HashMap<R::Key, R::Id>,
    event: &R::Event,
) -> bool {
    let state = ResolvingState { resolver, base: Some(state), resolved, cited: &[] };
    auth::check(resolver.version, event, &state).is_ok()
}
