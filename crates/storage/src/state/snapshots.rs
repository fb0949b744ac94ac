//! State snapshots: levelled differences of bounded depth.
//!
//! A snapshot is stored as a difference to a base. A chain of bases has at most [`LEVEL_ENTRIES_MAX`]`.len() + 1` links: the
//! whole state, then one difference a level, each level smaller than the one above. A new snapshot repeats the
//! differences of its level and adds its own; when the level is full, it moves up a level instead, and the levels below begin
//! anew. So any state is read with a handful of rows, and a change costs a few dozen entries, not the whole room.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use imbl::ordmap::DiffItem;
use myelin_model::{EventNid, StateKeyNid, StateNid};

use super::{
    WholeStates,
    packed::{self, Delta},
};
use crate::{Db, StorageError, reads::Reads};

/// The number of entries that the difference of a level may have, from the level next to the whole state down.
const LEVEL_ENTRIES_MAX: [usize; 3] = [512, 64, 8];

/// The size of packed states that are unpacked where they are read, in bytes: it takes about a millisecond. More is unpacked off the
/// async threads.
const UNPACKED_INLINE_BYTES_MAX: usize = 32 * 1024;

/// A room's state: which event each state key has. It is cheap to clone and to change.
pub type StateMap = imbl::OrdMap<StateKeyNid, EventNid>;

/// The changes that lead from one state to another: the new event of each key that differs. `None`: the key has none
/// any more.
pub fn state_changes(from: &StateMap, to: &StateMap) -> Vec<(StateKeyNid, Option<EventNid>)> {
    let change = |item| match item {
        DiffItem::Add(key, event) | DiffItem::Update { new: (key, event), .. } => {
            (*key, Some(*event))
        }
        DiffItem::Remove(key, _) => (*key, None),
    };
    from.diff(to).map(change).collect()
}

/// A snapshot to be written.
#[derive(Debug, Clone)]
pub struct NewSnapshot {
    pub(crate) state_nid: StateNid,
    /// The snapshot that it is a difference to.
    pub(crate) base_nid: Option<StateNid>,
    /// The difference to that snapshot, packed.
    pub(crate) delta: Vec<u8>,
    /// The state, if it is stored whole.
    pub(super) whole: Option<StateMap>,
}

/// The place of a state among the snapshots, as far as it is needed to write the next one.
#[derive(Debug, Clone, Default)]
pub struct SnapshotChain {
    /// The whole state first, then the differences, each on the one before it.
    links: Vec<Link>,
}

#[derive(Debug, Clone)]
struct Link {
    state_nid: StateNid,
    /// Empty for the whole state: it is not needed again.
    delta: Arc<Delta>,
}

impl SnapshotChain {
    /// The number of the snapshot at the chain's end. `None` for the empty state of a new room.
    pub fn state_nid(&self) -> Option<StateNid> {
        self.links.last().map(|link| link.state_nid)
    }

    /// Make the snapshot `state_nid` of the state that follows when `changes` are made. `state` is the state with them made.
    pub fn extend(
        &mut self,
        state_nid: StateNid,
        changes: &[(StateKeyNid, Option<EventNid>)],
        state: &StateMap,
    ) -> NewSnapshot {
        let mut changes: BTreeMap<StateKeyNid, Option<EventNid>> =
            changes.iter().copied().collect();
        // Walk up from the deepest level while the level is too small for what has gathered.
        while let Some(depth) = self.links.len().checked_sub(1) {
            // A chain that is not at its deepest level yet begins the next level below.
            let begins_level = depth < LEVEL_ENTRIES_MAX.len();
            let level = if begins_level { depth } else { depth - 1 };
            let fits =
                |entries: usize| LEVEL_ENTRIES_MAX.get(level).is_some_and(|max| entries <= *max);
            if begins_level && fits(changes.len()) {
                return self.push(state_nid, changes.into_iter().collect());
            }
            let Some(last) = self.links.pop() else { break };
            if depth == 0 {
                break;
            }
            for (key, event) in last.delta.iter() {
                changes.entry(*key).or_insert(*event);
            }
            let level = depth - 1;
            if LEVEL_ENTRIES_MAX.get(level).is_some_and(|max| changes.len() <= *max) {
                return self.push(state_nid, changes.into_iter().collect());
            }
        }
        self.links.clear();
        let whole: Delta = state.iter().map(|(key, event)| (*key, Some(*event))).collect();
        self.links.push(Link { state_nid, delta: Arc::default() });
        let delta = packed::pack(&whole);
        NewSnapshot { state_nid, base_nid: None, delta, whole: Some(state.clone()) }
    }

    /// The chain of a whole state.
    fn whole(state_nid: i64) -> Self {
        let link = Link { state_nid: StateNid(state_nid), delta: Arc::default() };
        Self { links: vec![link] }
    }

    fn push(&mut self, state_nid: StateNid, delta: Delta) -> NewSnapshot {
        let base_nid = self.state_nid();
        let packed = packed::pack(&delta);
        self.links.push(Link { state_nid, delta: Arc::new(delta) });
        NewSnapshot { state_nid, base_nid, delta: packed, whole: None }
    }
}

/// A whole state, and where it stands among the snapshots.
pub(crate) type ReadState = (StateMap, SnapshotChain);

/// Read whole states with their chains, each by itself: those that cannot be read are errors, and those that are not there are missing
/// from the answer. It takes one query, however many; what several of them are based on is read once, and shared, and what is in memory
/// as a whole is not read.
///
/// The planner takes a chain for long and would read the whole table to join it, so each base is looked up by itself:
/// `OFFSET 0` keeps the lookup from becoming a join.
///
/// Large states are made of what was read off the async threads.
pub(crate) async fn read_each(
    pool: &Reads,
    whole_states: &Arc<WholeStates>,
    state_nids: &[StateNid],
) -> Result<HashMap<StateNid, Result<ReadState, StorageError>>, StorageError> {
    let nids: Vec<i64> = state_nids.iter().map(|nid| nid.0).collect();
    let known: HashMap<i64, StateMap> =
        whole_states.list().into_iter().map(|(nid, state)| (nid.0, state)).collect();
    let known_nids: Vec<i64> = known.keys().copied().collect();
    let rows = sqlx::query_as!(
        SnapshotRow,
        r#"
        WITH RECURSIVE chain AS (
            SELECT s.state_nid, s.base_nid FROM state_snapshots s WHERE s.state_nid = ANY ($1)
            UNION
            SELECT s.state_nid, s.base_nid
            FROM chain
            CROSS JOIN LATERAL (
                SELECT state_nid, base_nid FROM state_snapshots WHERE state_nid = chain.base_nid OFFSET 0
            ) AS s
        )
        SELECT chain.state_nid AS "state_nid!", chain.base_nid, s.delta AS "delta?"
        FROM chain
        CROSS JOIN LATERAL (
            SELECT CASE WHEN state_nid = ANY ($2) THEN NULL ELSE delta END AS delta
            FROM state_snapshots WHERE state_nid = chain.state_nid OFFSET 0
        ) AS s
        "#,
        &nids,
        &known_nids,
    )
    .fetch_all(pool)
    .await?;
    let size_bytes: usize = rows.iter().filter_map(|row| row.delta.as_ref()).map(Vec::len).sum();
    let whole_states = Arc::clone(whole_states);
    let unpack = move || unpack_each(nids, rows, &known, &whole_states);
    if size_bytes <= UNPACKED_INLINE_BYTES_MAX {
        return Ok(unpack());
    }
    tokio::task::spawn_blocking(unpack).await.map_err(|_| StorageError::Stopping)
}

/// Make states from rows, and from the whole states that are known.
fn unpack_each(
    nids: Vec<i64>,
    rows: Vec<SnapshotRow>,
    known: &HashMap<i64, StateMap>,
    whole_states: &WholeStates,
) -> HashMap<StateNid, Result<ReadState, StorageError>> {
    let rows: HashMap<i64, SnapshotRow> =
        rows.into_iter().map(|row| (row.state_nid, row)).collect();
    let mut read: HashMap<i64, ReadState> = HashMap::with_capacity(rows.len());
    for row in rows.values().filter(|row| row.base_nid.is_none()) {
        if let Some(state) = known.get(&row.state_nid) {
            read.insert(row.state_nid, (state.clone(), SnapshotChain::whole(row.state_nid)));
        }
    }
    let mut each = HashMap::with_capacity(nids.len());
    for nid in nids {
        let state = match read_chain(nid, &rows, &mut read, whole_states) {
            Ok(()) => read.get(&nid).cloned().map(Ok),
            Err(error) => Some(Err(error)),
        };
        each.extend(state.map(|state| (StateNid(nid), state)));
    }
    each
}

/// A row of `state_snapshots`.
struct SnapshotRow {
    state_nid: i64,
    base_nid: Option<i64>,
    /// The difference, packed. `None` for whole states that are in memory.
    delta: Option<Vec<u8>>,
}

/// Make a state from what it is based on, and that before.
fn read_chain(
    nid: i64,
    rows: &HashMap<i64, SnapshotRow>,
    read: &mut HashMap<i64, ReadState>,
    whole_states: &WholeStates,
) -> Result<(), StorageError> {
    let mut path = Vec::new();
    let mut next = Some(nid);
    while let Some(row) = next.filter(|nid| !read.contains_key(nid)).and_then(|nid| rows.get(&nid))
    {
        path.push(row);
        next = row.base_nid;
    }
    for row in path.into_iter().rev() {
        let base = row.base_nid.and_then(|base| read.get(&base).cloned());
        let (mut map, mut chain) = base.unwrap_or_default();
        let delta = apply(row.delta.as_deref().unwrap_or_default(), &mut map)?;
        if row.base_nid.is_some() {
            chain.links.push(Link { state_nid: StateNid(row.state_nid), delta: Arc::new(delta) });
        } else {
            whole_states.insert(StateNid(row.state_nid), &map);
            chain = SnapshotChain::whole(row.state_nid);
        }
        read.insert(row.state_nid, (map, chain));
    }
    Ok(())
}

/// Make a packed difference's changes to a state, and give the difference.
fn apply(packed: &[u8], map: &mut StateMap) -> Result<Delta, StorageError> {
    let delta =
        packed::unpack(packed).map_err(StorageError::inconsistent("state_snapshots.delta"))?;
    for (key, event) in &delta {
        match event {
            Some(event) => map.insert(*key, *event),
            None => map.remove(key),
        };
    }
    Ok(delta)
}

/// Reads of the states that snapshots hold.
#[derive(Debug, Clone, Copy)]
pub struct States<'db> {
    pub(super) db: &'db Db,
}

impl Db {
    /// The states that snapshots hold.
    pub fn states(&self) -> States<'_> {
        States { db: self }
    }
}

impl States<'_> {
    /// The whole state of a snapshot. It takes one query. Fails if it is not there or cannot be read.
    #[tracing::instrument(name = "db.states.get", skip_all, fields(state.nid = %state_nid))]
    pub async fn get(&self, state_nid: StateNid) -> Result<StateMap, StorageError> {
        self.list(&[state_nid]).await?.remove(&state_nid).ok_or_else(|| {
            let reason = format!("{state_nid} is missing");
            StorageError::inconsistent("state_snapshots.state_nid")(reason)
        })
    }

    /// The whole states of many snapshots. It takes one query, however many. Those that are not there or cannot be read are missing
    /// from the answer.
    #[tracing::instrument(name = "db.states.list", skip_all)]
    pub async fn list(
        &self,
        state_nids: &[StateNid],
    ) -> Result<HashMap<StateNid, StateMap>, StorageError> {
        if state_nids.is_empty() {
            return Ok(HashMap::new());
        }
        let states = self.read_each(state_nids).await?.into_iter();
        let readable =
            states.filter_map(|(nid, state)| Some((nid, self.db.pool().readable(state)?.0)));
        Ok(readable.collect())
    }

    /// The whole states of many snapshots, with where they stand among the snapshots. It takes one query, however many. Fails if one
    /// of them cannot be read: it is for those who decide by them.
    #[tracing::instrument(name = "db.states.list_chains", skip_all)]
    pub async fn list_chains(
        &self,
        state_nids: &[StateNid],
    ) -> Result<HashMap<StateNid, (StateMap, SnapshotChain)>, StorageError> {
        let states = self.read_each(state_nids).await?.into_iter();
        states.map(|(nid, state)| Ok((nid, state?))).collect()
    }

    async fn read_each(
        &self,
        state_nids: &[StateNid],
    ) -> Result<HashMap<StateNid, Result<ReadState, StorageError>>, StorageError> {
        read_each(self.db.pool(), self.db.whole_states(), state_nids).await
    }
}

impl NewSnapshot {
    /// Make the changes that the snapshot stores to its base's state, as reading it from the database does.
    pub fn apply(&self, base: &mut StateMap) -> Result<(), StorageError> {
        apply(&self.delta, base).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rebuild a state from what was written, as the query does.
    fn rebuild(written: &HashMap<StateNid, NewSnapshot>, state_nid: StateNid) -> (StateMap, usize) {
        let mut links = vec![&written[&state_nid]];
        while let Some(base) = links.last().unwrap().base_nid {
            links.push(&written[&base]);
        }
        let mut map = StateMap::new();
        for link in links.iter().rev() {
            link.apply(&mut map).unwrap();
        }
        (map, links.len())
    }

    #[test]
    fn every_state_comes_back_with_few_links_and_few_bytes() {
        let (mut chain, mut state, mut written) =
            (SnapshotChain::default(), StateMap::new(), HashMap::new());
        let mut states = Vec::new();
        for step in 0..3_000_i64 {
            let key = StateKeyNid(if step < 1_000 { step } else { step * 7919 % 1_000 });
            let event = (step % 17 != 3).then_some(EventNid(step + 50));
            match event {
                Some(event) => state.insert(key, event),
                None => state.remove(&key),
            };
            let nid = StateNid(step + 1);
            written.insert(nid, chain.extend(nid, &[(key, event)], &state));
            states.push((nid, state.clone()));
        }
        for (nid, state) in &states {
            let (rebuilt, links) = rebuild(&written, *nid);
            assert_eq!(&rebuilt, state, "state {nid}");
            assert!(links <= LEVEL_ENTRIES_MAX.len() + 1);
        }
        let bytes: usize = written.values().map(|snapshot| snapshot.delta.len()).sum();
        assert!(bytes < 3_000 * 150, "{bytes} bytes");
    }

    #[test]
    fn a_large_change_takes_a_level_that_holds_it() {
        let (mut chain, mut state) = (SnapshotChain::default(), StateMap::new());
        state.insert(StateKeyNid(1), EventNid(1));
        chain.extend(StateNid(1), &[(StateKeyNid(1), Some(EventNid(1)))], &state);
        let changes: Vec<_> = (0..2_000).map(|n| (StateKeyNid(n), Some(EventNid(n)))).collect();
        for (key, event) in &changes {
            state.insert(*key, event.unwrap());
        }
        let snapshot = chain.extend(StateNid(2), &changes, &state);
        assert_eq!(snapshot.base_nid, None);
        assert_eq!(packed::unpack(&snapshot.delta).unwrap().len(), 2_000);
    }
}
