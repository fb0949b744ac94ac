//! The numbers of (event type, state key) pairs.

use std::{collections::HashMap, sync::Arc};

use myelin_model::StateKeyNid;
use quick_cache::sync::Cache;
use sqlx::PgPool;

use crate::StorageError;

/// The number of pairs that are remembered in each direction.
const KEYS_MAX: usize = 200_000;

/// An event type and a state key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StateKey {
    pub event_type: Arc<str>,
    pub state_key: Arc<str>,
}

impl StateKey {
    /// A pair of event type and state key.
    pub fn new(event_type: &str, state_key: &str) -> Self {
        Self { event_type: event_type.into(), state_key: state_key.into() }
    }
}

/// The numbers of state keys, through the node's cache. Numbers never change, so the cache is never stale.
#[derive(Debug)]
pub struct StateKeys {
    pool: PgPool,
    nids: Cache<StateKey, StateKeyNid>,
    keys: Cache<StateKeyNid, StateKey>,
}

impl StateKeys {
    pub(crate) fn new(pool: PgPool) -> Self {
        Self { pool, nids: Cache::new(KEYS_MAX), keys: Cache::new(KEYS_MAX) }
    }

    fn remember(&self, key: StateKey, nid: StateKeyNid) {
        self.keys.insert(nid, key.clone());
        self.nids.insert(key, nid);
    }

    /// The numbers of these keys; those that no event ever had are missing. It takes at most one query.
    pub async fn find_many(
        &self,
        keys: &[StateKey],
    ) -> Result<HashMap<StateKey, StateKeyNid>, StorageError> {
        let mut found = HashMap::with_capacity(keys.len());
        let (mut types, mut state_keys) = (Vec::new(), Vec::new());
        for key in keys {
            match self.nids.get(key) {
                Some(nid) => drop(found.insert(key.clone(), nid)),
                None => {
                    types.push(key.event_type.to_string());
                    state_keys.push(key.state_key.to_string());
                }
            }
        }
        if !types.is_empty() {
            let rows = sqlx::query!(
                "SELECT state_key_nid, event_type, state_key FROM state_keys
                 JOIN unnest($1::text[], $2::text[]) AS k (event_type, state_key) USING (event_type, state_key)",
                &types,
                &state_keys
            )
            .fetch_all(&self.pool)
            .await?;
            for row in rows {
                let key = StateKey::new(&row.event_type, &row.state_key);
                self.remember(key.clone(), StateKeyNid(row.state_key_nid));
                found.insert(key, StateKeyNid(row.state_key_nid));
            }
        }
        Ok(found)
    }

    /// The number of one key, if an event ever had it.
    pub async fn find(
        &self,
        event_type: &str,
        state_key: &str,
    ) -> Result<Option<StateKeyNid>, StorageError> {
        let key = StateKey::new(event_type, state_key);
        Ok(self.find_many(std::slice::from_ref(&key)).await?.remove(&key))
    }

    /// The numbers of these keys, given now to those that have none. It takes at most two statements.
    ///
    /// New numbers are written at once, outside of any transaction: a number that nothing refers to does no harm.
    pub async fn get_or_add(
        &self,
        keys: &[StateKey],
    ) -> Result<HashMap<StateKey, StateKeyNid>, StorageError> {
        let mut found = self.find_many(keys).await?;
        // Sorted, so that two nodes that add the same keys wait for each other in one order.
        let mut missing: Vec<&StateKey> =
            keys.iter().filter(|key| !found.contains_key(*key)).collect();
        missing.sort_unstable();
        missing.dedup();
        if missing.is_empty() {
            return Ok(found);
        }
        let types: Vec<String> = missing.iter().map(|key| key.event_type.to_string()).collect();
        let state_keys: Vec<String> = missing.iter().map(|key| key.state_key.to_string()).collect();
        let rows = sqlx::query!(
            "INSERT INTO state_keys (event_type, state_key) SELECT * FROM unnest($1::text[], $2::text[])
             ON CONFLICT (event_type, state_key) DO UPDATE SET event_type = EXCLUDED.event_type
             RETURNING state_key_nid, event_type, state_key",
            &types,
            &state_keys
        )
        .fetch_all(&self.pool)
        .await?;
        for row in rows {
            let key = StateKey::new(&row.event_type, &row.state_key);
            self.remember(key.clone(), StateKeyNid(row.state_key_nid));
            found.insert(key, StateKeyNid(row.state_key_nid));
        }
        Ok(found)
    }

    /// The keys that have these numbers. It takes at most one query.
    pub async fn list(
        &self,
        nids: &[StateKeyNid],
    ) -> Result<HashMap<StateKeyNid, StateKey>, StorageError> {
        let mut found = HashMap::with_capacity(nids.len());
        let mut missing = Vec::new();
        for nid in nids {
            match self.keys.get(nid) {
                Some(key) => drop(found.insert(*nid, key)),
                None => missing.push(nid.0),
            }
        }
        if !missing.is_empty() {
            let rows = sqlx::query!(
                "SELECT state_key_nid, event_type, state_key FROM state_keys WHERE state_key_nid = ANY ($1)",
                &missing
            )
            .fetch_all(&self.pool)
            .await?;
            for row in rows {
                let key = StateKey::new(&row.event_type, &row.state_key);
                self.remember(key.clone(), StateKeyNid(row.state_key_nid));
                found.insert(StateKeyNid(row.state_key_nid), key);
            }
        }
        Ok(found)
    }
}
