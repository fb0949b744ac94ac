//! The unread events of a user beyond those that are looked at one by one: their counts by thread, and those among them
//! that may highlight.

use std::collections::HashMap;

use myelin_model::{EventNid, RoomNid, StreamPos};
use ruma::UserId;

use super::{History, events::HIDDEN};
use crate::StorageError;

/// The number of relations that are followed from an event to the one that stands in a thread.
const RELATIONS_MAX: i32 = 3;

/// Unread events of a room that are counted only.
#[derive(Debug, Clone)]
pub struct UnreadRange {
    pub room_nid: RoomNid,
    /// The position after which the events stand.
    pub after: StreamPos,
    /// The position up to which the events stand, itself included.
    pub upto: StreamPos,
    /// The position after which events of the main timeline are unread.
    pub main_after: StreamPos,
    /// The threads of which more is read than `after`, by their roots, and up to where.
    pub threads: Vec<(Box<str>, StreamPos)>,
}

/// The numbers of a thread's events in a range.
#[derive(Debug, Clone)]
pub struct UnreadThread {
    /// The index of the range among those asked for.
    pub range: usize,
    /// The event ID of the thread's root.
    pub root: Box<str>,
    /// The number of unread events.
    pub unread: i64,
    /// The number of all its events after [`UnreadRange::main_after`], read or not.
    pub after_main: i64,
}

/// An event in a range that counts by the default rules, and not for the user who asks.
#[derive(Debug, Clone)]
pub struct Uncounted {
    /// The index of the range among those asked for.
    pub range: usize,
    /// The event's position.
    pub pos: StreamPos,
    /// The root of the thread that it was in.
    pub thread: Option<Box<str>>,
}

/// The text that the events in a range are looked through for.
#[derive(Debug, Clone)]
pub struct MentionRange {
    pub room_nid: RoomNid,
    /// The position after which the events stand.
    pub after: StreamPos,
    /// The position up to which the events stand, itself included.
    pub upto: StreamPos,
    /// Texts, lower case where they are ASCII, of which an event must contain one. The database need not know the case of other
    /// letters, so these stand here in each spelling that is looked for.
    pub hints: Vec<String>,
}

impl History<'_> {
    /// The roots of the threads that events belong to by what they relate to, by event ID. It takes one query.
    #[tracing::instrument(name = "db.history.list_thread_roots", skip_all)]
    pub async fn list_thread_roots(
        &self,
        event_ids: &[String],
    ) -> Result<HashMap<String, Box<str>>, StorageError> {
        let rows = sqlx::query!(
            r#"
            WITH RECURSIVE up AS (
                SELECT a.event_id AS start, a.event_id COLLATE "C" AS parent_id, ''::text COLLATE "C" AS rel_type,
                    0 AS depth
                FROM unnest($1::text[]) AS a (event_id)
                UNION ALL
                SELECT up.start, r.parent_id, r.rel_type, up.depth + 1 FROM up
                CROSS JOIN LATERAL (
                    SELECT event_nid FROM events WHERE event_id = up.parent_id
                    OFFSET 0 -- step by step through the index, never a join with all events
                ) AS e
                CROSS JOIN LATERAL (
                    SELECT parent_id, rel_type FROM event_relations
                    WHERE child_nid = e.event_nid OFFSET 0
                ) AS r
                WHERE up.rel_type <> 'm.thread' AND up.depth < $2
            )
            SELECT start AS "start!", parent_id AS "parent_id!" FROM up WHERE rel_type = 'm.thread'
            "#,
            event_ids,
            RELATIONS_MAX
        )
        .fetch_all(self.db.pool())
        .await?;
        Ok(rows.into_iter().map(|row| (row.start, row.parent_id.into())).collect())
    }

    /// The numbers of events of threads in ranges. It takes one query.
    #[tracing::instrument(name = "db.history.list_unread_threads", skip_all)]
    pub async fn list_unread_threads(
        &self,
        ranges: &[UnreadRange],
    ) -> Result<Vec<UnreadThread>, StorageError> {
        let of = |of: fn(&UnreadRange) -> i64| -> Vec<i64> { ranges.iter().map(of).collect() };
        let (mut thread_rooms, mut roots, mut read) = (Vec::new(), Vec::new(), Vec::new());
        for range in ranges {
            for (root, pos) in &range.threads {
                thread_rooms.push(range.room_nid.0);
                roots.push(root.to_string());
                read.push(pos.0);
            }
        }
        let rows = sqlx::query!(
            r#"
            SELECT s.ord AS "ord!", t.parent_id AS "parent_id!", t.unread AS "unread!", t.after_main AS "after_main!"
            FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[]) WITH ORDINALITY
                AS s (room_nid, after, upto, main_after, ord)
            CROSS JOIN LATERAL (
                SELECT r.parent_id, count(*) FILTER (WHERE r.pos > coalesce(p.pos, 0)) AS unread,
                    count(*) FILTER (WHERE r.pos > s.main_after) AS after_main
                FROM event_relations r
                LEFT JOIN unnest($5::bigint[], $6::text[], $7::bigint[]) AS p (room_nid, root, pos)
                    ON p.room_nid = s.room_nid AND p.root = r.parent_id
                WHERE r.room_nid = s.room_nid AND r.rel_type = 'm.thread' AND r.pos > s.after AND r.pos <= s.upto
                    AND r.event_type IN ('m.room.message', 'm.room.encrypted')
                GROUP BY r.parent_id
                OFFSET 0 -- one look into the index a range
            ) AS t
            "#,
            &of(|range| range.room_nid.0),
            &of(|range| range.after.0),
            &of(|range| range.upto.0),
            &of(|range| range.main_after.0),
            &thread_rooms,
            &roots,
            &read
        )
        .fetch_all(self.db.pool())
        .await?;
        let rows = rows.into_iter().map(|row| UnreadThread {
            range: usize::try_from(row.ord - 1).unwrap_or(usize::MAX),
            root: row.parent_id.into(),
            unread: row.unread,
            after_main: row.after_main,
        });
        Ok(rows.collect())
    }

    /// The events in ranges that contain one of the hints, among the newest `events_max` of each; at most `found_max`
    /// of each. It takes one query.
    #[tracing::instrument(name = "db.history.list_mentions", skip_all)]
    pub async fn list_mentions(
        &self,
        ranges: &[MentionRange],
        events_max: usize,
        found_max: usize,
    ) -> Result<Vec<EventNid>, StorageError> {
        let of = |of: fn(&MentionRange) -> i64| -> Vec<i64> { ranges.iter().map(of).collect() };
        let (mut hint_ords, mut hints) = (Vec::new(), Vec::new());
        for (range, ord) in ranges.iter().zip(1_i64..) {
            for hint in &range.hints {
                hint_ords.push(ord);
                hints.push(hint.clone());
            }
        }
        let limit = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let nids = sqlx::query_scalar!(
            r#"
            SELECT found.event_nid AS "event_nid!"
            FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) WITH ORDINALITY AS s (room_nid, after, upto, ord)
            CROSS JOIN LATERAL (
                SELECT e.event_nid FROM (
                    SELECT event_nid, lower(json) AS json FROM events
                    WHERE room_nid = s.room_nid AND pos > s.after AND pos <= s.upto AND flags & $6 < 1
                    ORDER BY pos DESC LIMIT $7
                ) AS e
                WHERE EXISTS (
                    SELECT 1 FROM unnest($4::bigint[], $5::text[]) AS h (ord, hint)
                    WHERE h.ord = s.ord AND strpos(e.json, h.hint) > 0
                )
                LIMIT $8
            ) AS found
            "#,
            &of(|range| range.room_nid.0),
            &of(|range| range.after.0),
            &of(|range| range.upto.0),
            &hint_ords,
            &hints,
            HIDDEN,
            limit(events_max),
            limit(found_max)
        )
        .fetch_all(self.db.pool())
        .await?;
        Ok(nids.into_iter().map(EventNid).collect())
    }

    /// The newest event, members' events apart, that a user sent in each of some ranges of rooms, among the newest `events_max` there: the range's index, the
    /// event's position, and its ordinal. It takes one query.
    #[tracing::instrument(name = "db.history.list_newest_own", skip_all)]
    pub async fn list_newest_own(
        &self,
        ranges: &[UnreadRange],
        user_id: &UserId,
        events_max: usize,
    ) -> Result<Vec<(usize, StreamPos, i64)>, StorageError> {
        let of = |of: fn(&UnreadRange) -> i64| -> Vec<i64> { ranges.iter().map(of).collect() };
        let rows = sqlx::query!(
            r#"
            SELECT s.ord AS "ord!", own.pos AS "pos!", own.notify_ordinal AS "notify_ordinal!"
            FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) WITH ORDINALITY AS s (room_nid, after, upto, ord)
            CROSS JOIN LATERAL (
                SELECT e.pos, e.notify_ordinal FROM (
                    SELECT pos, notify_ordinal, sender, membership FROM events
                    WHERE room_nid = s.room_nid AND pos > s.after AND pos <= s.upto AND flags & $5 < 1
                    ORDER BY pos DESC LIMIT $6
                ) AS e
                WHERE e.sender = $4 AND e.membership IS NULL LIMIT 1
            ) AS own
            "#,
            &of(|range| range.room_nid.0),
            &of(|range| range.after.0),
            &of(|range| range.upto.0),
            user_id.as_str(),
            HIDDEN,
            i64::try_from(events_max).unwrap_or(i64::MAX)
        )
        .fetch_all(self.db.pool())
        .await?;
        let index = |ord: i64| usize::try_from(ord - 1).unwrap_or(usize::MAX);
        let rows = rows.into_iter();
        Ok(rows.map(|row| (index(row.ord), StreamPos(row.pos), row.notify_ordinal)).collect())
    }

    /// The events that count by the default rules and yet do not count for a user: they were redacted, or are by one of `silenced`.
    /// They are looked for among the newest `events_max` of each range. It takes one query.
    #[tracing::instrument(name = "db.history.list_uncounted", skip_all)]
    pub async fn list_uncounted(
        &self,
        ranges: &[UnreadRange],
        silenced: &[String],
        events_max: usize,
    ) -> Result<Vec<Uncounted>, StorageError> {
        let of = |of: fn(&UnreadRange) -> i64| -> Vec<i64> { ranges.iter().map(of).collect() };
        let rows = sqlx::query!(
            r#"
            SELECT s.ord AS "ord!", e.pos AS "pos!", t.parent_id AS "thread?"
            FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) WITH ORDINALITY AS s (room_nid, after, upto, ord)
            CROSS JOIN LATERAL (
                SELECT event_nid, pos, notify_ordinal, redacted_by IS NOT NULL OR sender = ANY ($6) AS is_uncounted FROM events
                WHERE room_nid = s.room_nid AND pos > s.after AND pos <= s.upto AND flags & $4 < 1
                ORDER BY pos DESC LIMIT $5
            ) AS e
            -- What counts has a greater ordinal than what is before it.
            CROSS JOIN LATERAL (
                SELECT notify_ordinal FROM events WHERE room_nid = s.room_nid AND pos < e.pos AND e.is_uncounted
                ORDER BY pos DESC LIMIT 1
            ) AS before
            LEFT JOIN LATERAL (
                SELECT parent_id FROM event_relations WHERE child_nid = e.event_nid AND rel_type = 'm.thread' OFFSET 0
            ) AS t ON true
            WHERE e.is_uncounted AND e.notify_ordinal > before.notify_ordinal
            "#,
            &of(|range| range.room_nid.0),
            &of(|range| range.after.0),
            &of(|range| range.upto.0),
            HIDDEN,
            i64::try_from(events_max).unwrap_or(i64::MAX),
            silenced
        )
        .fetch_all(self.db.pool())
        .await?;
        let rows = rows.into_iter().map(|row| Uncounted {
            range: usize::try_from(row.ord - 1).unwrap_or(usize::MAX),
            pos: StreamPos(row.pos),
            thread: row.thread.map(Into::into),
        });
        Ok(rows.collect())
    }
}
