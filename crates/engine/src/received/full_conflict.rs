//! The full conflicted set of states, found by the chain cover: it costs what is in conflict, whatever the room's size.

use std::{collections::HashSet, sync::Arc};

use myelin_events::resolve::{Conflict, RoomEvents as _};
use myelin_model::{EventNid, RoomNid, StateKeyNid};
use myelin_storage::{AuthChainIndex, StorageError};

use super::stored_room::{StoredRoom, Unstored};
use crate::Engine;

impl Engine {
    /// The events that take part in resolving a conflict beside the conflicted ones: those in the auth chains of some states, not of all,
    /// and since version 12 those between conflicted events. Blocks.
    pub(super) fn find_others(
        &self,
        room_nid: RoomNid,
        conflict: &Conflict<StateKeyNid, EventNid>,
        room: &StoredRoom<'_>,
        unstored: Option<&Unstored>,
    ) -> Result<HashSet<EventNid>, StorageError> {
        let Some(rules) = room.version().state_resolution() else { return Ok(HashSet::new()) };
        let conflicted: HashSet<EventNid> =
            conflict.conflicted.values().flatten().copied().collect();
        // An event that has no place yet reaches what it cites.
        let cited = |nid: &EventNid| unstored.filter(|unstored| unstored.nid == *nid);
        let own = |nids: &Vec<EventNid>| -> Vec<EventNid> {
            let reach = |nid| match cited(nid) {
                Some(unstored) => unstored.auth_events.to_vec(),
                None => vec![*nid],
            };
            nids.iter().flat_map(reach).collect()
        };
        let own: Vec<Vec<EventNid>> = conflict.conflicted_by_state.iter().map(own).collect();
        let near = find_near(conflict, &conflicted, room);
        let mut index = self.chains_with(room_nid, own.iter().flatten().chain(&near), room)?;
        let mut others = index.difference(&own, &conflicted, &near, []);
        if !others.is_empty() {
            // Other events that the states share may reach them.
            let common = || conflict.unconflicted.values();
            index = self.chains_with(room_nid, own.iter().flatten().chain(common()), room)?;
            others = index.difference(&own, &conflicted, &near, common().copied());
        }
        if rules.consider_conflicted_state_subgraph {
            others.extend(index.paths(own.into_iter().flatten(), conflicted));
        }
        Ok(others)
    }

    /// The chain cover of a room, with some events and their auth chains at least: the rest of it need not be in memory. Blocks while it
    /// is read, or read on.
    fn chains_with<'a>(
        &self,
        room_nid: RoomNid,
        nids: impl Iterator<Item = &'a EventNid>,
        room: &StoredRoom<'_>,
    ) -> Result<Arc<AuthChainIndex>, StorageError> {
        let chains = &self.resolutions().chains;
        let known = chains.get(&room_nid).unwrap_or_default();
        let missing: Vec<EventNid> = nids.copied().filter(|nid| !known.contains(*nid)).collect();
        if missing.is_empty() {
            return Ok(known);
        }
        // Not in the cache meanwhile, it is mostly nobody else's, and need not be copied.
        drop(chains.remove(&room_nid));
        let mut index = Arc::unwrap_or_clone(known);
        if !room.wait(self.db().auth_chains().extend(&mut index, &missing))? {
            index = room.wait(self.db().auth_chains().get(room_nid))?;
        }
        let index = Arc::new(index);
        chains.insert(room_nid, Arc::clone(&index));
        Ok(index)
    }
}

/// The events of the state that is not in conflict which stand where the conflicted events cite one: they mostly are those cited, or have
/// them in their auth chains.
fn find_near(
    conflict: &Conflict<StateKeyNid, EventNid>,
    conflicted: &HashSet<EventNid>,
    room: &StoredRoom<'_>,
) -> Vec<EventNid> {
    let conflicted: Vec<EventNid> = conflicted.iter().copied().collect();
    room.prefetch(&conflicted);
    let mut cited = Vec::new();
    for nid in conflicted {
        room.auth_events(nid, &mut cited);
    }
    cited.sort_unstable();
    cited.dedup();
    room.prefetch(&cited);
    let near = cited.into_iter().filter_map(|nid| {
        let key = room.key_of(nid)?;
        conflict.unconflicted.get(&key).copied()
    });
    let mut near: Vec<EventNid> = near.collect();
    near.sort_unstable();
    near.dedup();
    near
}
