//! The events that single keys have in stored states. Pages of history ask for a few keys of many states again and again.

use std::collections::HashMap;

use myelin_model::{EventNid, StateKeyNid, StateNid};
use quick_cache::sync::Cache;

use super::States;
use crate::StorageError;

/// The number of keys of states whose events are remembered.
const VALUES_MAX: usize = 100_000;

/// The events of keys of states. A stored state never changes, and its number is never given to another one.
pub(crate) struct KnownValues(Cache<(StateNid, StateKeyNid), Option<EventNid>>);

impl Default for KnownValues {
    fn default() -> Self {
        Self(Cache::new(VALUES_MAX))
    }
}

impl std::fmt::Debug for KnownValues {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KnownValues").field("values", &self.0.len()).finish_non_exhaustive()
    }
}

impl States<'_> {
    /// The events that states have for a few keys, in the keys' order. A key without a number has none anywhere. States that are not
    /// there or cannot be read are missing from the answer. It takes at most one query, none for what was asked before.
    #[tracing::instrument(name = "db.states.list_values", skip_all)]
    pub async fn list_values<const KEYS: usize>(
        &self,
        state_nids: &[StateNid],
        keys: [Option<StateKeyNid>; KEYS],
    ) -> Result<HashMap<StateNid, [Option<EventNid>; KEYS]>, StorageError> {
        let known = &self.db.known_state_values().0;
        let mut values = HashMap::with_capacity(state_nids.len());
        let mut missing = Vec::new();
        for nid in state_nids {
            let found = keys.map(|key| match key {
                Some(key) => known.get(&(*nid, key)),
                None => Some(None),
            });
            if found.iter().all(Option::is_some) {
                values.insert(*nid, found.map(Option::flatten));
            } else {
                missing.push(*nid);
            }
        }
        for (nid, state) in self.list(&missing).await? {
            let found = keys.map(|key| {
                let key = key?;
                let event = state.get(&key).copied();
                known.insert((nid, key), event);
                event
            });
            values.insert(nid, found);
        }
        Ok(values)
    }
}
