//! The facts that decide who sees which event: how a room's history visibility and a user's membership changed.
//!
//! Both are read along `replaces`, from the event that is current now back to the first: one query for a user and a
//! room, whatever the number of events that are to be shown, and none when neither ever changed or when it was read
//! before.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use myelin_model::{Event, EventNid, Membership, StreamPos};
use quick_cache::sync::Cache;
use ruma::UserId;

use crate::{
    Db, RoomHead, StateKey, StorageError,
    log::{Change, LogEntry, LogSubscriber},
};

/// The number of pairs of room and user that are remembered.
const HISTORIES_MAX: usize = 20_000;

/// The number of changes of one state key that are followed back. What lies before is treated as if the oldest one
/// followed was the first.
const CHANGES_MAX: i32 = 10_000;

/// The changes of a room's history visibility and of one user's membership: each replaced the one before it, the oldest first. Those of
/// events that stand beside the log have no position.
#[derive(Debug, Default)]
pub struct VisibilityHistory {
    /// The contents of the `m.room.history_visibility` events, as JSON.
    pub visibilities: Vec<(Option<StreamPos>, Box<str>)>,
    /// The memberships of the user, each with the position of its member event.
    pub memberships: Vec<(Option<StreamPos>, Membership)>,
}

/// The current events of both keys name the history, with [`RoomHead::branched_pos`]: nothing else changes it. An event beside the log
/// that finds its place is of another state than the room's, which has it already.
type Key = (Option<EventNid>, Option<EventNid>, StreamPos);

/// Histories in memory.
pub(crate) struct KnownHistories {
    cache: Cache<Key, Arc<VisibilityHistory>>,
    /// Counts how often all were forgotten: what was read from the database before may be stale.
    forgotten: AtomicU64,
}

impl Default for KnownHistories {
    fn default() -> Self {
        Self { cache: Cache::new(HISTORIES_MAX), forgotten: AtomicU64::new(0) }
    }
}

impl std::fmt::Debug for KnownHistories {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KnownHistories")
            .field("histories", &self.cache.len())
            .finish_non_exhaustive()
    }
}

impl LogSubscriber for KnownHistories {
    fn apply(&self, entries: &[Arc<LogEntry>]) {
        let is_unclear = |entry: &Arc<LogEntry>| match &entry.change {
            Change::Other { room_nid: Some(_), .. }
            | Change::Other { room_nid: None, user_id: None } => true,
            Change::Other { room_nid: None, user_id: Some(_) }
            | Change::Event(_)
            | Change::StateReset { .. }
            | Change::Receipt { .. }
            | Change::AccountData { .. }
            | Change::Sessions { .. }
            | Change::Account { .. }
            | Change::Profile { .. }
            | Change::DeviceList { .. }
            | Change::ToDevice { .. }
            | Change::KeyCounts { .. }
            | Change::Signatures { .. }
            | Change::Forgotten { .. } => false,
        };
        if entries.iter().any(is_unclear) {
            self.forgotten.fetch_add(1, Ordering::AcqRel);
            self.cache.clear();
        }
    }
}

/// Reads of how what users may see of rooms changed.
#[derive(Debug, Clone, Copy)]
pub struct VisibilityHistories<'db> {
    db: &'db Db,
}

impl Db {
    /// Reads of the changes that decide what users may see of rooms.
    pub fn visibility_histories(&self) -> VisibilityHistories<'_> {
        VisibilityHistories { db: self }
    }
}

impl VisibilityHistories<'_> {
    /// The changes of a room's history visibility and of a user's membership up to `head`. It takes at most one query
    /// when the room's and the user's state keys are known to the node, mostly none.
    #[tracing::instrument(name = "db.visibility_histories.get", skip_all, fields(room.id = %head.room_id))]
    pub async fn get(
        &self,
        head: &RoomHead,
        user_id: &UserId,
    ) -> Result<Arc<VisibilityHistory>, StorageError> {
        let keys = [
            StateKey::new("m.room.history_visibility", ""),
            StateKey::new("m.room.member", user_id.as_str()),
        ];
        let nids = self.db.state_keys().find_many(&keys).await?;
        let current =
            keys.each_ref().map(|key| nids.get(key).and_then(|nid| head.state.get(nid)).copied());
        let [visibility, member] = current;
        let key = (visibility, member, head.branched_pos);
        if let Some(history) = self.db.known_visibility_histories().cache.get(&key) {
            return Ok(history);
        }
        let known = self.db.known_visibility_histories();
        let forgotten = known.forgotten.load(Ordering::Acquire);
        let history = match self.first_ones(current) {
            Some(history) => history,
            None => self.read_visibility_history(current).await?,
        };
        let history = Arc::new(history);
        known.cache.insert(key, Arc::clone(&history));
        if known.forgotten.load(Ordering::Acquire) != forgotten {
            known.cache.remove(&key);
        }
        Ok(history)
    }

    /// The history when the current events are in memory and are the first of their keys.
    fn first_ones(&self, current: [Option<EventNid>; 2]) -> Option<VisibilityHistory> {
        let mut history = VisibilityHistory::default();
        for nid in current.into_iter().flatten() {
            let event = self.db.event_cache().find(nid).filter(|event| event.replaces.is_none())?;
            history.add(&event)?;
        }
        Some(history)
    }

    async fn read_visibility_history(
        &self,
        current: [Option<EventNid>; 2],
    ) -> Result<VisibilityHistory, StorageError> {
        let nids: Vec<i64> = current.into_iter().flatten().map(|nid| nid.0).collect();
        let rows = sqlx::query!(
            r#"
            WITH RECURSIVE chain AS (
                SELECT pos, membership, json, replaces, 1 AS depth FROM events WHERE event_nid = ANY ($1)
                UNION ALL
                SELECT e.pos, e.membership, e.json, e.replaces, chain.depth + 1 FROM chain
                CROSS JOIN LATERAL (
                    SELECT pos, membership, json, replaces FROM events WHERE event_nid = chain.replaces
                    OFFSET 0 -- step by step through the index, never a join with all events
                ) AS e
                WHERE chain.depth < $2
            )
            -- PostgreSQL reads no JSON that has \u0000 somewhere.
            SELECT pos, membership, CASE WHEN membership IS NULL THEN json END AS json
            FROM chain ORDER BY depth DESC
            "#,
            &nids,
            CHANGES_MAX
        )
        .fetch_all(self.db.pool())
        .await?;
        let mut history = VisibilityHistory::default();
        for row in rows {
            let pos = row.pos.map(StreamPos).filter(in_log);
            if let Some(number) = row.membership {
                // Of a membership that is not known nothing may follow in the user's favor.
                let membership = Membership::from_i16(number).unwrap_or(Membership::Leave);
                history.memberships.push((pos, membership));
            } else if let Some(content) = row.json.as_deref().and_then(content_of) {
                history.visibilities.push((pos, content));
            }
        }
        Ok(history)
    }
}

impl VisibilityHistory {
    fn add(&mut self, event: &Event) -> Option<()> {
        let pos = event.pos.filter(in_log);
        match event.membership {
            Some(membership) => self.memberships.push((pos, membership)),
            None => {
                self.visibilities.push((pos, content_of(&event.json)?));
            }
        }
        Some(())
    }
}

/// Whether a position is in the log, and not beside it.
fn in_log(pos: &StreamPos) -> bool {
    *pos > StreamPos::ZERO
}

fn content_of(json: &str) -> Option<Box<str>> {
    #[derive(serde::Deserialize)]
    struct Stored<'a> {
        #[serde(borrow)]
        content: &'a serde_json::value::RawValue,
    }
    Some(serde_json::from_str::<Stored<'_>>(json).ok()?.content.get().into())
}
