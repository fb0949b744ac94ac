//! State resolution over stored rooms, off the async threads.

use std::sync::Arc;

use myelin_events::{RoomVersion, resolve::Conflict};
use myelin_model::{EventNid, RoomNid, StateKeyNid};
use myelin_storage::{AuthChainIndex, RoomHead, StateMap, StorageError};
use quick_cache::{Weighter, sync::Cache};
use tokio::{runtime::Handle, sync::Semaphore};

use super::stored_room::{StoredRoom, Unstored};
use crate::{Engine, EventError};

/// The number of resolutions that run at once on a node. Each may take the memory of a few states of its room.
const RESOLUTIONS_MAX: usize = 4;

/// The memory that the chain covers of rooms may take on a node, in bytes.
const CHAINS_SIZE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The memory that a place of a chain cover takes, with its links, in bytes.
const PLACE_SIZE_BYTES: u64 = 128;

/// The number of rooms whose chain covers are expected to be in memory.
const CHAINS_EXPECTED: usize = 64;

/// The limit and the memory that all resolutions of a node share.
pub(crate) struct Resolutions {
    running: Semaphore,
    /// The chain covers of rooms whose state was resolved lately. One that lacks an event is read anew.
    chains: Cache<RoomNid, Arc<AuthChainIndex>, ByPlaces>,
}

#[derive(Clone)]
struct ByPlaces;

impl Weighter<RoomNid, Arc<AuthChainIndex>> for ByPlaces {
    fn weight(&self, _: &RoomNid, index: &Arc<AuthChainIndex>) -> u64 {
        (index.len() as u64).saturating_mul(PLACE_SIZE_BYTES).max(1)
    }
}

impl Default for Resolutions {
    fn default() -> Self {
        Self {
            running: Semaphore::new(RESOLUTIONS_MAX),
            chains: Cache::with_weighter(CHAINS_EXPECTED, CHAINS_SIZE_BYTES_MAX, ByPlaces),
        }
    }
}

impl std::fmt::Debug for Resolutions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolutions").field("chains", &self.chains.len()).finish_non_exhaustive()
    }
}

impl Engine {
    /// The one state that follows from several of a room. All their events must be stored but for one.
    pub(super) async fn resolve(
        &self,
        head: &RoomHead,
        states: Vec<StateMap>,
        unstored: Option<Unstored>,
    ) -> Result<StateMap, EventError> {
        let version = self.version_of(head)?;
        let create = self.db().state_keys().find("m.room.create", "").await?;
        let create = create.and_then(|key| head.state.get(&key).copied());
        // Nobody closes it.
        let _running = self.resolutions().running.acquire().await.map_err(stopping)?;
        let (engine, room_nid, runtime) = (self.clone(), head.room_nid, Handle::current());
        let resolve = move || {
            let conflict = Conflict::split(version, &states);
            if conflict.is_empty() {
                return Ok(conflict.unconflicted);
            }
            let unstored = unstored.as_ref();
            let difference =
                engine.auth_difference(room_nid, version, &conflict, unstored, &runtime)?;
            let mut room = StoredRoom::new(engine.db(), &runtime, version, create);
            if let Some(unstored) = unstored {
                room = room.with(unstored);
            }
            let state = conflict.resolve(version, &room, difference);
            match room.into_failure() {
                Some(error) => Err(error),
                None => Ok(state),
            }
        };
        tokio::task::spawn_blocking(resolve).await.map_err(stopping)?
    }

    /// The events in the auth chains of some states, not of all. Blocks.
    fn auth_difference(
        &self,
        room_nid: RoomNid,
        version: RoomVersion,
        conflict: &Conflict<StateKeyNid, EventNid>,
        unstored: Option<&Unstored>,
        runtime: &Handle,
    ) -> Result<Vec<EventNid>, StorageError> {
        if version.state_resolution().is_none() {
            return Ok(Vec::new());
        }
        let common: Vec<EventNid> = conflict.unconflicted.values().copied().collect();
        // An event that has no place yet reaches what it cites, and takes part in any case.
        let cited = |nid: &EventNid| unstored.filter(|unstored| unstored.nid == *nid);
        let own = |nids: &Vec<EventNid>| -> Vec<EventNid> {
            let reach = |nid| match cited(nid) {
                Some(unstored) => unstored.auth_events.to_vec(),
                None => vec![*nid],
            };
            nids.iter().flat_map(reach).collect()
        };
        let own: Vec<Vec<EventNid>> = conflict.conflicted_by_state.iter().map(own).collect();
        let index = self.chains_with(room_nid, own.iter().flatten().chain(&common), runtime)?;
        Ok(index.difference(&common, &own).into_iter().collect())
    }

    /// The chain cover of a room, with some events at least. Blocks while it is read, or read on.
    fn chains_with<'a>(
        &self,
        room_nid: RoomNid,
        nids: impl Iterator<Item = &'a EventNid>,
        runtime: &Handle,
    ) -> Result<Arc<AuthChainIndex>, StorageError> {
        let chains = &self.resolutions().chains;
        if let Some(known) = chains.get(&room_nid) {
            let missing: Vec<EventNid> =
                nids.copied().filter(|nid| !known.contains(*nid)).collect();
            if missing.is_empty() {
                return Ok(known);
            }
            // Not in the cache meanwhile, it is mostly nobody else's, and need not be copied.
            drop(chains.remove(&room_nid));
            let mut index = Arc::unwrap_or_clone(known);
            if runtime.block_on(self.db().auth_chains().extend(&mut index, &missing))? {
                let index = Arc::new(index);
                chains.insert(room_nid, Arc::clone(&index));
                return Ok(index);
            }
        }
        let index = Arc::new(runtime.block_on(self.db().auth_chains().get(room_nid))?);
        chains.insert(room_nid, Arc::clone(&index));
        Ok(index)
    }
}

/// The runtime goes away, and what it was to do with it.
fn stopping<E>(_: E) -> EventError {
    StorageError::Stopping.into()
}
