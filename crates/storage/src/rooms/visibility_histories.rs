//! The facts that decide who sees which event: how a room's history visibility and a user's membership changed.
//!
//! Both are read along `replaces`, from the event that is current now back to the first: one query for a user and a
//! room, whatever the number of events that are to be shown, and none when neither ever changed, when it was read
//! before, or when the change before it was.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use futures_util::TryStreamExt;
use myelin_model::{Event, EventNid, HistoryVisibility, Membership, StreamPos};
use quick_cache::{Weighter, sync::Cache};
use ruma::UserId;

use crate::{
    Db, RoomHead, StateKey, StorageError,
    log::{Change, LogEntry, LogSubscriber},
};

/// The memory that histories of one kind may take on a node, in bytes.
const HISTORIES_SIZE_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// The memory that a history is expected to take, in bytes: most keys changed once or twice.
const HISTORY_SIZE_BYTES_EXPECTED: u64 = 160;

/// The memory that a history takes beside its changes, in bytes: its key, its counters and its place in the tables.
const HISTORY_SIZE_BYTES_MIN: u64 = 128;

/// A value that held in turn.
trait Value: Copy {
    /// The number of changes of one state key that are followed back.
    const CHANGES_MAX: usize;
    /// The value by which the least is shown. It is taken for what lies before the changes that are followed.
    const CLOSED: Self;
}

impl Value for HistoryVisibility {
    const CHANGES_MAX: usize = 1_000;
    const CLOSED: Self = Self::Joined;
}

impl Value for Membership {
    const CHANGES_MAX: usize = 10_000;
    const CLOSED: Self = Self::Leave;
}

/// Values that held in turn, each with the position of the event that said it, the oldest first. Those of events that stand beside
/// the log have no position.
type Changes<T> = Arc<[(Option<StreamPos>, T)]>;

/// The changes of a room's history visibility and of one user's membership: each replaced the one before it. Where there were more than
/// are followed back, the first says that nothing was to be seen before.
#[derive(Debug)]
pub struct VisibilityHistory {
    /// The values of the `m.room.history_visibility` events. All readers of the room share them.
    pub visibilities: Changes<HistoryVisibility>,
    /// The memberships of the user.
    pub memberships: Changes<Membership>,
}

/// The current event of a state key names its history, with [`RoomHead::branched_pos`]: nothing else changes it. An event beside the
/// log that finds its place is of another state than the room's, which has it already.
type Key = (EventNid, StreamPos);

#[derive(Clone)]
struct BySize;

impl<T> Weighter<Key, Changes<T>> for BySize {
    fn weight(&self, _: &Key, changes: &Changes<T>) -> u64 {
        HISTORY_SIZE_BYTES_MIN + size_of_val::<[_]>(changes) as u64
    }
}

/// Histories of one kind in memory.
struct Known<T>(Cache<Key, Changes<T>, BySize>);

impl<T> Default for Known<T> {
    fn default() -> Self {
        let expected = HISTORIES_SIZE_BYTES_MAX / HISTORY_SIZE_BYTES_EXPECTED;
        let expected = usize::try_from(expected).unwrap_or_default();
        Self(Cache::with_weighter(expected, HISTORIES_SIZE_BYTES_MAX, BySize))
    }
}

/// Histories in memory.
#[derive(Default)]
pub(crate) struct KnownHistories {
    visibilities: Known<HistoryVisibility>,
    memberships: Known<Membership>,
    /// Counts how often all were forgotten: what was read from the database before may be stale.
    forgotten: AtomicU64,
}

impl std::fmt::Debug for KnownHistories {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KnownHistories")
            .field("visibilities", &self.visibilities.0.len())
            .field("memberships", &self.memberships.0.len())
            .finish_non_exhaustive()
    }
}

impl LogSubscriber for KnownHistories {
    fn apply(&self, entries: &[Arc<LogEntry>]) {
        let is_unclear = |entry: &Arc<LogEntry>| match &entry.change {
            // What a member event took the place of is known when it finds its place in older history.
            Change::Rewritten { .. }
            | Change::Other { room_nid: Some(_), .. }
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
            self.visibilities.0.clear();
            self.memberships.0.clear();
        }
    }
}

impl<T: Value> Known<T> {
    /// The history that ends with an event, if it is in memory, or follows from what is: the event is the first of its key, or the
    /// history up to it is known. Without an event there is none.
    fn find(&self, db: &Db, key: Option<Key>, value: fn(&Event) -> T) -> Option<Changes<T>> {
        let Some(key) = key else { return Some(Arc::default()) };
        if let Some(changes) = self.0.get(&key) {
            return Some(changes);
        }
        let (nid, branched_pos) = key;
        let event = db.event_cache().find(nid)?;
        let mut changes = match event.replaces {
            None => Vec::new(),
            Some(replaced) => self.0.get(&(replaced, branched_pos))?.to_vec(),
        };
        changes.push((event.pos.filter(in_log), value(&event)));
        Some(self.keep(key, changes))
    }

    fn keep(&self, key: Key, changes: Vec<(Option<StreamPos>, T)>) -> Changes<T> {
        let changes = bounded(changes);
        self.0.insert(key, Arc::clone(&changes));
        changes
    }
}

/// The changes, without those that are more than are followed.
fn bounded<T: Value>(mut changes: Vec<(Option<StreamPos>, T)>) -> Changes<T> {
    if let Some(beyond) = changes.len().checked_sub(T::CHANGES_MAX).filter(|beyond| *beyond > 0) {
        changes.drain(..beyond);
        if let Some(first) = changes.first_mut() {
            *first = (Some(StreamPos(i64::MIN)), T::CLOSED);
        }
    }
    changes.into()
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
    ) -> Result<VisibilityHistory, StorageError> {
        let keys = [
            StateKey::new("m.room.history_visibility", ""),
            StateKey::new("m.room.member", user_id.as_str()),
        ];
        let nids = self.db.state_keys().find_many(&keys).await?;
        let current =
            keys.each_ref().map(|key| nids.get(key).and_then(|nid| head.state.get(nid)).copied());
        let [visibility, member] = current.map(|nid| nid.map(|nid| (nid, head.branched_pos)));
        let known = self.db.known_visibility_histories();
        let forgotten = known.forgotten.load(Ordering::Acquire);
        let visibilities = known.visibilities.find(self.db, visibility, visibility_of);
        let memberships = known.memberships.find(self.db, member, membership_of);
        let missing = (
            visibility.filter(|_| visibilities.is_none()),
            member.filter(|_| memberships.is_none()),
        );
        let read = self.read(missing).await?;
        let history = VisibilityHistory {
            visibilities: visibilities.unwrap_or(read.visibilities),
            memberships: memberships.unwrap_or(read.memberships),
        };
        if known.forgotten.load(Ordering::Acquire) != forgotten {
            known.visibilities.0.clear();
            known.memberships.0.clear();
        }
        Ok(history)
    }

    /// Read what is not in memory. Of the events that say how much is shown only one at a time is held: each may be as large as an
    /// event can be.
    async fn read(
        &self,
        (visibility, member): (Option<Key>, Option<Key>),
    ) -> Result<VisibilityHistory, StorageError> {
        let (mut visibilities, mut memberships) = (Vec::new(), Vec::new());
        let nid = |key: Option<Key>| key.map(|(nid, _)| nid.0);
        if visibility.is_some() || member.is_some() {
            let followed = |count: usize| i32::try_from(count + 1).unwrap_or(i32::MAX);
            let mut rows = sqlx::query!(
                r#"
                WITH RECURSIVE chain AS (
                    SELECT event_nid = $1 AS is_visibility, pos, membership, json, replaces, 1 AS depth
                    FROM events WHERE event_nid IN ($1, $2)
                    UNION ALL
                    SELECT chain.is_visibility, e.pos, e.membership, e.json, e.replaces, chain.depth + 1 FROM chain
                    CROSS JOIN LATERAL (
                        SELECT pos, membership, json, replaces FROM events WHERE event_nid = chain.replaces
                        OFFSET 0 -- step by step through the index, never a join with all events
                    ) AS e
                    WHERE chain.depth < CASE WHEN chain.is_visibility THEN $3::int ELSE $4::int END
                )
                -- PostgreSQL reads no JSON that has \u0000 somewhere.
                SELECT coalesce(is_visibility, false) AS "is_visibility!", pos, membership,
                    CASE WHEN is_visibility THEN json END AS json
                FROM chain ORDER BY depth DESC
                "#,
                nid(visibility),
                nid(member),
                followed(HistoryVisibility::CHANGES_MAX),
                followed(Membership::CHANGES_MAX)
            )
            .fetch(self.db.pool());
            while let Some(row) = rows.try_next().await? {
                let pos = row.pos.map(StreamPos).filter(in_log);
                if row.is_visibility {
                    visibilities.push((
                        pos,
                        row.json.as_deref().map_or(HistoryVisibility::CLOSED, read_visibility),
                    ));
                } else {
                    let membership = row.membership.and_then(Membership::from_i16);
                    memberships.push((pos, membership.unwrap_or(Membership::CLOSED)));
                }
            }
        }
        let known = self.db.known_visibility_histories();
        Ok(VisibilityHistory {
            visibilities: match visibility {
                Some(key) => known.visibilities.keep(key, visibilities),
                None => Arc::default(),
            },
            memberships: match member {
                Some(key) => known.memberships.keep(key, memberships),
                None => Arc::default(),
            },
        })
    }
}

/// Whether a position is in the log, and not beside it.
fn in_log(pos: &StreamPos) -> bool {
    *pos > StreamPos::ZERO
}

/// The membership that an event sets: the closed one, where it cannot be read.
fn membership_of(event: &Event) -> Membership {
    event.membership.unwrap_or(Membership::CLOSED)
}

fn visibility_of(event: &Event) -> HistoryVisibility {
    read_visibility(&event.json)
}

fn read_visibility(json: &str) -> HistoryVisibility {
    #[derive(serde::Deserialize)]
    struct Stored<'a> {
        #[serde(borrow)]
        content: &'a serde_json::value::RawValue,
    }
    serde_json::from_str::<Stored<'_>>(json)
        .map_or(HistoryVisibility::CLOSED, |stored| HistoryVisibility::parse(stored.content.get()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_followed_was_not_shown() {
        let long = |count: i64| -> Vec<_> {
            (1..=count).map(|pos| (Some(StreamPos(pos)), HistoryVisibility::Shared)).collect()
        };
        let changes = bounded(long(1_000));
        assert_eq!(changes[0], (Some(StreamPos(1)), HistoryVisibility::Shared));
        let changes = bounded(long(1_001));
        assert_eq!(changes.len(), 1_000);
        assert_eq!(changes[0], (Some(StreamPos(i64::MIN)), HistoryVisibility::Joined));
        assert_eq!(changes[1], (Some(StreamPos(3)), HistoryVisibility::Shared));
    }
}
