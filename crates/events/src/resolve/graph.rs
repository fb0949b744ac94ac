//! Walks over the graph of `auth_events`.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::{RoomEvents, StateMap};

/// The events reachable from some of the conflicted sets but not from all, nor from what is unconflicted; without the conflicted events.
pub(super) fn auth_difference<R: RoomEvents>(
    room: &R,
    unconflicted: &StateMap<R>,
    conflicted: &[Vec<R::Id>],
) -> BTreeSet<R::Id> {
    let mut reached: HashMap<R::Id, usize> = HashMap::new();
    for events in conflicted {
        let mut seen: HashSet<R::Id> = HashSet::new();
        walk(room, events.iter().copied(), |id| {
            let is_new = seen.insert(id);
            if is_new {
                *reached.entry(id).or_default() += 1;
            }
            is_new
        });
    }
    let mut open: HashSet<R::Id> =
        reached.iter().filter(|(_, sets)| **sets < conflicted.len()).map(|(id, _)| *id).collect();
    // The conflicted events take part in any case.
    for id in conflicted.iter().flatten() {
        open.remove(id);
    }
    // Most of the rest are unconflicted state themselves, or in the auth chain of such; that is cheaper to find than by walking all chains.
    let mut seen: HashSet<R::Id> = HashSet::new();
    let known = unconflicted.values().filter(|id| reached.contains_key(id));
    for start in known.chain(unconflicted.values()) {
        if open.is_empty() {
            break;
        }
        walk(room, std::iter::once(*start), |id| {
            open.remove(&id);
            seen.insert(id)
        });
    }
    open.into_iter().collect()
}

/// Visit events and their auth chains. `visit` says whether to go on to the event's auth events.
fn walk<R: RoomEvents>(
    room: &R,
    from: impl Iterator<Item = R::Id>,
    mut visit: impl FnMut(R::Id) -> bool,
) {
    let mut open: Vec<R::Id> = from.collect();
    while let Some(id) = open.pop() {
        if visit(id) {
            room.auth_events(id, &mut open);
        }
    }
}

/// The events on the paths along `auth_events` between events of the set, with the ends (since version 12).
pub(super) fn conflicted_subgraph<R: RoomEvents>(
    room: &R,
    conflicted: &HashSet<R::Id>,
) -> HashSet<R::Id> {
    // Whether a conflicted event is reached from the event or is it; `None` while that is being found out.
    let mut reaches: HashMap<R::Id, Option<bool>> = HashMap::new();
    let mut path: Vec<Step<R::Id>> = Vec::new();
    for start in conflicted {
        visit(room, *start, &mut reaches, &mut path);
        while let Some(step) = path.last_mut() {
            match step.open.pop() {
                Some(next) => match reaches.get(&next) {
                    Some(known) => step.reaches |= known.unwrap_or(false),
                    None => visit(room, next, &mut reaches, &mut path),
                },
                None => {
                    let verdict = step.reaches || conflicted.contains(&step.id);
                    reaches.insert(step.id, Some(verdict));
                    path.pop();
                    if let Some(before) = path.last_mut() {
                        before.reaches |= verdict;
                    }
                }
            }
        }
    }
    reaches.into_iter().filter(|(_, verdict)| *verdict == Some(true)).map(|(id, _)| id).collect()
}

struct Step<I> {
    id: I,
    open: Vec<I>,
    reaches: bool,
}

fn visit<R: RoomEvents>(
    room: &R,
    id: R::Id,
    reaches: &mut HashMap<R::Id, Option<bool>>,
    path: &mut Vec<Step<R::Id>>,
) {
    if reaches.contains_key(&id) {
        return;
    }
    reaches.insert(id, None);
    let mut open = Vec::new();
    room.auth_events(id, &mut open);
    path.push(Step { id, open, reaches: false });
}
