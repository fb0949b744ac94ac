//! Deletes state snapshots that nothing refers to any more, room by room, while everybody goes on writing.
//!
//! A snapshot is *reached* when a room has it as its current state, when an event has it as its state before or after, or
//! when a snapshot that is reached is based on it. Everything else is garbage: resolved states that a room has moved on from
//! without an event referring to them, what a write that failed half-way left, the states of purged events.
//!
//! **Why no lock is needed.** Three facts hold whatever nodes do:
//!
//! 1. Who refers to a stored snapshot found it reached. An append names as state before, or as base, only snapshots of the
//!    head it was built upon, and is refused unless the room still has that head when it commits; all others come from
//!    events. So what is not reached is never reached again: *garbage stays garbage*.
//! 2. A look at a room reads its current state first, then its events, then the bases. What was reached when it began is
//!    found by it: bases never change, events keep their states, and a current state that the room moves on from meanwhile
//!    was read before.
//! 3. By these a snapshot could still be taken for garbage that nothing refers to *yet*: one that was stored before the step
//!    that makes it current (as the state of a room just joined is), or between the reading of events and of bases. So what
//!    is found is only noted, and deleted by a later look that does not find it reached either, [`STATE_GARBAGE_KEPT_MS`]
//!    or more after it was noted. Who stores a snapshot first and refers to it later must be done within half that time; so
//!    must who takes one from an event that may be purged.
//!
//! The lease keeps nodes from doing the same work twice. Nothing depends on it: two looks at once only delete garbage.

use std::collections::{HashMap, HashSet};

use sqlx::PgPool;

use crate::{
    StorageError,
    accounts::{from_sql_ts, to_sql_ts},
};

/// The time for which garbage is kept after it was found.
pub const STATE_GARBAGE_KEPT_MS: u64 = 60 * 60 * 1000;

/// The time for which a room that changes is not looked at again.
const LOOK_INTERVAL_MS: u64 = 24 * 60 * 60 * 1000;

/// The number of rooms that are asked for at once.
const ROOMS_PAGE: i32 = 200;

/// The number of events or snapshots that one statement reads.
const ROWS_PAGE: i64 = 10_000;

/// The number of snapshots that one statement deletes.
const DELETE_PAGE: usize = 500;

/// Rooms with more snapshots are left alone: they would take too much memory.
const SNAPSHOTS_MAX: usize = 2_000_000;

/// A walk over all rooms, again and again.
#[derive(Debug)]
pub struct StateGarbage {
    pool: PgPool,
    kept_ms: u64,
    /// The last room that was asked for.
    cursor: i64,
    /// Rooms to be looked at, the next one last.
    due: Vec<i64>,
}

/// The outcome of a look at a room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Look {
    /// The number of snapshots that were deleted.
    pub deleted: usize,
    /// The number of snapshots that a later look is to delete.
    pub noted: usize,
}

impl StateGarbage {
    /// A walk that begins with the first room.
    pub fn new(pool: PgPool) -> Self {
        Self { pool, kept_ms: STATE_GARBAGE_KEPT_MS, cursor: 0, due: Vec::new() }
    }

    /// Keep garbage for another time than [`STATE_GARBAGE_KEPT_MS`].
    #[must_use]
    pub fn kept_for(self, kept_ms: u64) -> Self {
        Self { kept_ms, ..self }
    }

    /// Look at the next room that is due. False at the end of the walk; the next step begins anew.
    pub async fn step(&mut self, now_ms: u64) -> Result<bool, StorageError> {
        while self.due.is_empty() {
            if !self.read_due(now_ms).await? {
                return Ok(false);
            }
        }
        if let Some(room_nid) = self.due.pop() {
            let look = self.look(room_nid, now_ms).await?;
            metrics::counter!("myelin_state_snapshots_deleted_total")
                .increment(u64::try_from(look.deleted).unwrap_or_default());
        }
        Ok(true)
    }

    /// Ask which of the next rooms are due. False when there are no more rooms.
    async fn read_due(&mut self, now_ms: u64) -> Result<bool, StorageError> {
        let rooms = sqlx::query!(
            r#"
            WITH RECURSIVE page AS (
                (SELECT room_nid, 1 AS place FROM state_snapshots WHERE room_nid > $1 ORDER BY room_nid LIMIT 1)
                UNION ALL
                SELECT (
                    SELECT s.room_nid FROM state_snapshots s WHERE s.room_nid > page.room_nid ORDER BY s.room_nid LIMIT 1
                ), place + 1
                FROM page WHERE page.room_nid IS NOT NULL AND place < $2
            )
            SELECT p.room_nid AS "room_nid!", r.version AS "version?", l.version AS "looked_version?",
                l.garbage AS "garbage?", l.looked_ts AS "looked_ts?"
            FROM page p LEFT JOIN rooms r USING (room_nid) LEFT JOIN state_looks l USING (room_nid)
            WHERE p.room_nid IS NOT NULL ORDER BY p.room_nid DESC
            "#,
            self.cursor,
            ROOMS_PAGE
        )
        .fetch_all(&self.pool)
        .await?;
        let Some(last) = rooms.first() else {
            self.cursor = 0;
            return Ok(false);
        };
        self.cursor = last.room_nid;
        let is_due = |garbage: bool, changed: bool, looked_ts: i64| {
            let age_ms = now_ms.saturating_sub(from_sql_ts(looked_ts));
            garbage && age_ms >= self.kept_ms || changed && age_ms >= LOOK_INTERVAL_MS
        };
        self.due = rooms
            .into_iter()
            .filter(|row| match row.looked_ts {
                Some(looked_ts) => is_due(
                    row.garbage.is_some_and(|count| count > 0),
                    row.looked_version != row.version.or(Some(0)),
                    looked_ts,
                ),
                None => true,
            })
            .map(|row| row.room_nid)
            .collect();
        Ok(true)
    }

    /// Look at a room: delete what was garbage before and still is, and note what is found.
    #[tracing::instrument(name = "db.state.collect_garbage", skip_all, fields(room.nid = room_nid))]
    pub async fn look(&self, room_nid: i64, now_ms: u64) -> Result<Look, StorageError> {
        // The order matters: see the top of this file.
        let room =
            sqlx::query!("SELECT version, state_nid FROM rooms WHERE room_nid = $1", room_nid)
                .fetch_optional(&self.pool)
                .await?;
        let noted = self.read_noted(room_nid).await?;
        let version = room.as_ref().map_or(0, |room| room.version);
        let mut reached: HashSet<i64> = room.map(|room| room.state_nid).into_iter().collect();
        self.read_states_of_events(room_nid, &mut reached).await?;
        let Some(bases) = self.read_bases(room_nid).await? else {
            tracing::warn!(room_nid, "too many state snapshots to collect garbage among them");
            self.write_look(room_nid, version, 0, now_ms).await?;
            return Ok(Look::default());
        };
        reach_bases(&mut reached, &bases);

        let kept_since = to_sql_ts(now_ms.saturating_sub(self.kept_ms));
        let (mut deletable, mut new, mut waiting) = (Vec::new(), Vec::new(), 0);
        for nid in bases.into_keys().filter(|nid| !reached.contains(nid)) {
            match noted.get(&nid) {
                Some(found_ts) if *found_ts <= kept_since => deletable.push(nid),
                Some(_) => waiting += 1,
                None => new.push(nid),
            }
        }
        for nids in deletable.chunks(DELETE_PAGE) {
            self.delete(nids).await?;
        }
        let refuted: Vec<i64> = noted.into_keys().filter(|nid| reached.contains(nid)).collect();
        self.write_noted(room_nid, &new, &refuted, now_ms).await?;
        let look = Look { deleted: deletable.len(), noted: new.len() + waiting };
        let left = i64::try_from(look.noted).unwrap_or(i64::MAX);
        self.write_look(room_nid, version, left, now_ms).await?;
        Ok(look)
    }

    /// The snapshots that earlier looks found to be garbage, with the times.
    async fn read_noted(&self, room_nid: i64) -> Result<HashMap<i64, i64>, StorageError> {
        let rows = sqlx::query!(
            "SELECT state_nid, found_ts FROM state_garbage WHERE room_nid = $1",
            room_nid
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(|row| (row.state_nid, row.found_ts)).collect())
    }

    async fn read_states_of_events(
        &self,
        room_nid: i64,
        reached: &mut HashSet<i64>,
    ) -> Result<(), StorageError> {
        let mut after = Some(i64::MIN);
        while let Some(pos) = after {
            let page = sqlx::query!(
                r#"
                WITH page AS (
                    SELECT pos, state_before, state_after FROM events WHERE room_nid = $1 AND pos > $2
                    ORDER BY pos LIMIT $3
                )
                SELECT (SELECT max(pos) FROM page) AS last, ARRAY(
                    SELECT state_before FROM page WHERE state_before IS NOT NULL
                    UNION SELECT state_after FROM page WHERE state_after IS NOT NULL
                ) AS "states!"
                "#,
                room_nid,
                pos,
                ROWS_PAGE
            )
            .fetch_one(&self.pool)
            .await?;
            reached.extend(page.states);
            after = page.last;
        }
        Ok(())
    }

    /// The room's snapshots with their bases. `None` if there are too many.
    async fn read_bases(
        &self,
        room_nid: i64,
    ) -> Result<Option<HashMap<i64, Option<i64>>>, StorageError> {
        let (mut bases, mut after) = (HashMap::new(), Some(i64::MIN));
        while let Some(nid) = after {
            let page = sqlx::query!(
                "SELECT state_nid, base_nid FROM state_snapshots WHERE room_nid = $1 AND state_nid > $2
                 ORDER BY state_nid LIMIT $3",
                room_nid,
                nid,
                ROWS_PAGE
            )
            .fetch_all(&self.pool)
            .await?;
            after = page.last().map(|row| row.state_nid);
            bases.extend(page.into_iter().map(|row| (row.state_nid, row.base_nid)));
            if bases.len() > SNAPSHOTS_MAX {
                return Ok(None);
            }
        }
        Ok(Some(bases))
    }

    async fn delete(&self, nids: &[i64]) -> Result<(), StorageError> {
        sqlx::query!(
            "WITH noted AS (DELETE FROM state_garbage WHERE state_nid = ANY ($1))
             DELETE FROM state_snapshots WHERE state_nid = ANY ($1)",
            nids
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    async fn write_noted(
        &self,
        room_nid: i64,
        new: &[i64],
        refuted: &[i64],
        now_ms: u64,
    ) -> Result<(), StorageError> {
        if new.is_empty() && refuted.is_empty() {
            return Ok(());
        }
        sqlx::query!(
            "WITH refuted AS (DELETE FROM state_garbage WHERE state_nid = ANY ($3))
             INSERT INTO state_garbage (state_nid, room_nid, found_ts)
             SELECT n.state_nid, $1, $4 FROM unnest($2::bigint[]) AS n (state_nid) ON CONFLICT DO NOTHING",
            room_nid,
            new,
            refuted,
            to_sql_ts(now_ms)
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    async fn write_look(
        &self,
        room_nid: i64,
        version: i64,
        garbage: i64,
        now_ms: u64,
    ) -> Result<(), StorageError> {
        sqlx::query!(
            "INSERT INTO state_looks (room_nid, version, garbage, looked_ts) VALUES ($1, $2, $3, $4)
             ON CONFLICT (room_nid) DO UPDATE
             SET version = EXCLUDED.version, garbage = EXCLUDED.garbage, looked_ts = EXCLUDED.looked_ts",
            room_nid,
            version,
            garbage,
            to_sql_ts(now_ms)
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}

/// Add what is reached through bases.
fn reach_bases(reached: &mut HashSet<i64>, bases: &HashMap<i64, Option<i64>>) {
    let mut pending: Vec<i64> = reached.iter().copied().collect();
    while let Some(nid) = pending.pop() {
        if let Some(Some(base)) = bases.get(&nid)
            && reached.insert(*base)
        {
            pending.push(*base);
        }
    }
}
