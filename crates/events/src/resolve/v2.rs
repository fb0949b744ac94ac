//! State resolution of versions 2 to 11 (v2) and 12 (v2.1).

use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
    fmt,
    hash::Hash,
};

use imbl::OrdMap;
use myelin_model::Membership;
use ruma::room_version_rules::StateResolutionV2Rules;

use super::{
    Conflict, RoomEvents,
    power_sort::{self, Node, Rank},
    resolver::Resolver,
};
use crate::{auth::AuthEvent, version::RoomVersion};

pub(super) fn resolve<R, K, I>(
    version: RoomVersion,
    rules: &StateResolutionV2Rules,
    conflict: Conflict<K, I>,
    room: &R,
    others: impl IntoIterator<Item = I>,
) -> OrdMap<K, I>
where
    R: RoomEvents<Id = I, Key = K>,
    K: Copy + Ord + Hash + fmt::Debug,
    I: Copy + Ord + Hash + fmt::Debug,
{
    let resolver = Resolver::new(version, room);
    let mut full: HashSet<I> = others.into_iter().collect();
    full.extend(conflict.conflicted.values().flatten().copied());
    let ids: Vec<I> = full.iter().copied().collect();
    room.prefetch(&ids);
    full.retain(|id| resolver.event(*id).is_some());
    let mut cited: Vec<I> = full.iter().flat_map(|id| resolver.auth_events(*id).to_vec()).collect();
    cited.sort_unstable();
    cited.dedup();
    room.prefetch(&cited);

    let base =
        (!rules.begin_iterative_auth_checks_with_empty_state_map).then_some(&conflict.unconflicted);
    let mut resolved: HashMap<K, I> = HashMap::new();
    let power_events = sort_power_events(&resolver, &full);
    resolver.apply(&power_events, base, &mut resolved);

    for id in &power_events {
        full.remove(id);
    }
    let levels_key = room.key("m.room.power_levels", "");
    let levels = levels_key.and_then(|key| resolved.get(&key).or_else(|| base?.get(&key)).copied());
    let others = sort_by_mainline(&resolver, full, levels);
    resolver.apply(&others, base, &mut resolved);

    let mut state = conflict.unconflicted;
    for (key, id) in resolved {
        state.entry(key).or_insert(id);
    }
    state
}

/// The power events of the full conflicted set and what is in their auth chains, in the reverse topological power ordering.
fn sort_power_events<R: RoomEvents>(
    resolver: &Resolver<'_, R>,
    full: &HashSet<R::Id>,
) -> Vec<R::Id> {
    let mut places: HashMap<R::Id, usize> = HashMap::new();
    let mut ids: Vec<R::Id> = Vec::new();
    for id in
        full.iter().filter(|id| resolver.event(**id).is_some_and(|event| is_power_event(&event)))
    {
        places.entry(*id).or_insert_with(|| {
            ids.push(*id);
            ids.len() - 1
        });
    }
    let mut nodes = Vec::with_capacity(ids.len());
    let mut next = 0;
    while let Some(id) = ids.get(next).copied() {
        next += 1;
        let mut after = Vec::new();
        for cited in resolver.auth_events(id).iter().filter(|cited| full.contains(*cited)) {
            let place = *places.entry(*cited).or_insert_with(|| {
                ids.push(*cited);
                ids.len() - 1
            });
            if !after.contains(&place) {
                after.push(place);
            }
        }
        // In the full conflicted set are only events that are known.
        let Some(event) = resolver.event(id) else { return Vec::new() };
        let rank = Rank {
            power: resolver.sender_power(id, &event),
            origin_server_ts: event.origin_server_ts(),
            event_id: event.event_id().to_owned(),
        };
        nodes.push(Node { rank, after });
    }
    power_sort::sort(nodes).into_iter().filter_map(|place| ids.get(place).copied()).collect()
}

/// Events that may take away someone's ability to do something.
fn is_power_event(event: &impl AuthEvent) -> bool {
    match event.event_type() {
        "m.room.power_levels" | "m.room.join_rules" | "m.room.create" => {
            event.state_key() == Some("")
        }
        "m.room.member" => {
            event.state_key() != Some(event.sender().as_str())
                && matches!(event.membership(), Some(Membership::Leave | Membership::Ban))
        }
        _ => false,
    }
}

/// The mainline ordering: events under older power levels first, then by time, then by ID.
fn sort_by_mainline<R: RoomEvents>(
    resolver: &Resolver<'_, R>,
    ids: HashSet<R::Id>,
    levels: Option<R::Id>,
) -> Vec<R::Id> {
    // Steps from the current power levels back to the first; `None` where the chain leads past the mainline to its end.
    let mut positions: HashMap<R::Id, Option<usize>> = HashMap::new();
    let mut current = levels;
    while let Some(id) = current {
        let steps = positions.len();
        if positions.insert(id, Some(steps)).is_some() {
            break;
        }
        current = resolver.cited_power_levels(id);
    }
    let mut sorted: Vec<(_, i64, R::Event, R::Id)> = Vec::with_capacity(ids.len());
    for id in ids {
        let Some(event) = resolver.event(id) else { continue };
        let position = position(resolver, id, &mut positions);
        // No position is the farthest of all.
        sorted.push((Reverse(position.unwrap_or(usize::MAX)), event.origin_server_ts(), event, id));
    }
    sorted.sort_unstable_by(|a, b| {
        (a.0, a.1)
            .cmp(&(b.0, b.1))
            .then_with(|| a.2.event_id().as_str().cmp(b.2.event_id().as_str()))
    });
    sorted.into_iter().map(|(.., id)| id).collect()
}

/// The place on the mainline that the event's chain of power levels comes to first.
fn position<R: RoomEvents>(
    resolver: &Resolver<'_, R>,
    id: R::Id,
    positions: &mut HashMap<R::Id, Option<usize>>,
) -> Option<usize> {
    let mut walked = Vec::new();
    let mut current = Some(id);
    let position = loop {
        let Some(id) = current else { break None };
        if let Some(known) = positions.get(&id) {
            break *known;
        }
        // Against circles, which honest events cannot form.
        positions.insert(id, None);
        walked.push(id);
        current = resolver.cited_power_levels(id);
    };
    for id in walked {
        positions.insert(id, position);
    }
    position
}
