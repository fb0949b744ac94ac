//! State resolution over stored rooms, off the async threads.

use std::sync::Arc;

use myelin_events::resolve::Conflict;
use myelin_model::RoomNid;
use myelin_storage::{AuthChainIndex, RoomHead, StateMap, StorageError};
use quick_cache::{Weighter, sync::Cache};
use tokio::{runtime::Handle, sync::Semaphore};

use super::stored_room::{ReadEvents, StoredRoom, Unstored};
use crate::{Engine, EventError};

/// The number of resolutions that run at once on a node. Each may take the memory of a few states of its room.
const RESOLUTIONS_MAX: usize = 4;

/// The memory that the chain covers of rooms may take on a node, in bytes.
const CHAINS_SIZE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The memory that a place of a chain cover takes, with its links, in bytes.
const PLACE_SIZE_BYTES: u64 = 256;

/// The number of rooms whose chain covers are expected to be in memory.
const CHAINS_EXPECTED: usize = 64;

/// The limit and the memory that all resolutions of a node share.
pub(crate) struct Resolutions {
    running: Semaphore,
    /// The chain covers of rooms whose state was resolved lately, as far as they were needed.
    pub(super) chains: Cache<RoomNid, Arc<AuthChainIndex>, ByPlaces>,
    events: ReadEvents,
}

#[derive(Clone)]
pub(super) struct ByPlaces;

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
            events: ReadEvents::default(),
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
            let known = &engine.resolutions().events;
            let mut room = StoredRoom::new(engine.db(), known, &runtime, version, create);
            if let Some(unstored) = &unstored {
                room = room.with(unstored);
            }
            let others = engine.find_others(room_nid, &conflict, &room, unstored.as_ref())?;
            let state = conflict.resolve(version, &room, others);
            match room.into_failure() {
                Some(error) => Err(error),
                None => Ok(state),
            }
        };
        tokio::task::spawn_blocking(resolve).await.map_err(stopping)?
    }
}

/// The runtime goes away, and what it was to do with it.
fn stopping<E>(_: E) -> EventError {
    StorageError::Stopping.into()
}
