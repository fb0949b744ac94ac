//! The unread events of a user beyond those that are looked at one by one: their counts by thread, and those among them
//! that may highlight.

use std::collections::HashMap;

use myelin_model::{EventNid, RoomNid, StreamPos};
use ruma::UserId;

use super::{History, events::HIDDEN, history::like_exactly};
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
    /// The number of events that are looked through one by one at most: the newest.
    pub events_max: usize,
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

/// The newest message of a user in a range, or in a thread there.
#[derive(Debug, Clone)]
pub struct OwnMessage {
    /// The index of the range among those asked for.
    pub range: usize,
    /// The root of the thread that it is in. `None`: it relates to nothing.
    pub thread: Option<Box<str>>,
    /// The message's position.
    pub pos: StreamPos,
    /// Its [`myelin_model::Event::notify_ordinal`].
    pub notify_ordinal: i64,
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

/// The unread events of a room among which those are looked for that are about a user.
#[derive(Debug, Clone)]
pub struct SearchRange {
    pub room_nid: RoomNid,
    /// The position after which the events stand.
    pub after: StreamPos,
    /// The position up to which the events stand, itself included.
    pub upto: StreamPos,
    /// The number of events that are looked through at most: the newest.
    pub events_max: usize,
    /// Texts as [`spellings`](crate::spellings()) gives them, as JSON has them, of which the body of an event must contain one.
    pub words: Vec<String>,
    /// The same for events that do not say by themselves whom they mention.
    pub names: Vec<String>,
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

    /// The numbers of events of threads in ranges that notify by the default rules. It takes one query.
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
                SELECT r.root AS parent_id, count(*) FILTER (WHERE r.pos > coalesce(p.pos, 0)) AS unread,
                    count(*) FILTER (WHERE r.pos > s.main_after) AS after_main
                FROM (
                    SELECT pos, coalesce(thread_root, parent_id) AS root FROM event_relations
                    WHERE room_nid = s.room_nid AND rel_type = 'm.thread' AND pos > s.after AND pos <= s.upto
                        AND (thread_root <> '' OR thread_root IS NULL AND event_type IN ('m.room.message', 'm.room.encrypted'))
                    UNION ALL
                    SELECT pos, thread_root FROM event_relations
                    WHERE room_nid = s.room_nid AND thread_root <> '' AND rel_type <> 'm.thread' AND pos > s.after
                        AND pos <= s.upto
                ) AS r
                LEFT JOIN unnest($5::bigint[], $6::text[], $7::bigint[]) AS p (room_nid, root, pos)
                    ON p.room_nid = s.room_nid AND p.root = r.root
                GROUP BY r.root
                OFFSET 0 -- one look into each index a range
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

    /// The events in ranges that say by themselves that they mention the user or the room, or that they end the room: at most the newest
    /// `found_max` of each range. It takes one query, which reads the events that mention anybody and no others.
    #[tracing::instrument(name = "db.history.list_mentions", skip_all)]
    pub async fn list_mentions(
        &self,
        ranges: &[SearchRange],
        user_id: &UserId,
        found_max: usize,
    ) -> Result<Vec<EventNid>, StorageError> {
        let of = |of: fn(&SearchRange) -> i64| -> Vec<i64> { ranges.iter().map(of).collect() };
        let quoted = serde_json::Value::from(user_id.as_str()).to_string();
        let nids = sqlx::query_scalar!(
            r#"
            SELECT found.event_nid AS "event_nid!"
            FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS s (room_nid, after, upto)
            CROSS JOIN LATERAL (
                SELECT event_nid FROM events
                WHERE room_nid = s.room_nid AND pos > s.after AND pos <= s.upto AND flags & $4 < 1
                    -- As the index has it.
                    AND (strpos(json, '"m.mentions":{"') > 0 OR event_type = 'm.room.tombstone')
                    AND sender <> $5
                    AND (strpos(json, $6) > 0 OR strpos(json, '"room":true') > 0 OR event_type = 'm.room.tombstone')
                ORDER BY pos DESC LIMIT $7
            ) AS found
            "#,
            &of(|range| range.room_nid.0),
            &of(|range| range.after.0),
            &of(|range| range.upto.0),
            HIDDEN,
            user_id.as_str(),
            quoted,
            limit(found_max)
        )
        .fetch_all(self.db.pool())
        .await?;
        Ok(nids.into_iter().map(EventNid).collect())
    }

    /// The events in ranges whose bodies contain one of the texts that are looked for: at most the newest `found_max` of each range. It
    /// takes one query, which reads the texts of all events that are looked through.
    #[tracing::instrument(name = "db.history.list_by_words", skip_all)]
    pub async fn list_by_words(
        &self,
        ranges: &[SearchRange],
        found_max: usize,
    ) -> Result<Vec<EventNid>, StorageError> {
        let of = |of: fn(&SearchRange) -> i64| -> Vec<i64> { ranges.iter().map(of).collect() };
        // JSON has no line feed within a text.
        let lines = |of: fn(&SearchRange) -> &[String]| -> Vec<String> {
            let pattern = |text: &String| format!("%{}%", like_exactly(text));
            let patterns = |range| of(range).iter().map(pattern).collect::<Vec<_>>().join("\n");
            ranges.iter().map(patterns).collect()
        };
        let nids = sqlx::query_scalar!(
            r#"
            SELECT found.event_nid AS "event_nid!"
            FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[], $6::text[])
                AS s (room_nid, after, upto, events_max, words, names)
            CROSS JOIN LATERAL (
                SELECT string_to_array(s.words, chr(10)) AS words, string_to_array(s.names, chr(10)) AS names OFFSET 0
            ) AS text
            CROSS JOIN LATERAL (
                SELECT e.event_nid FROM (
                    SELECT event_nid, json FROM events
                    WHERE room_nid = s.room_nid AND pos > s.after AND pos <= s.upto AND flags & $7 < 1
                    ORDER BY pos DESC LIMIT s.events_max
                ) AS e
                -- Most are left out before they are read as JSON.
                WHERE CASE WHEN strpos(e.json, '"m.mentions":') > 0
                        THEN cardinality(text.words) > 0 AND lower(e.json) LIKE ANY (text.words)
                        ELSE lower(e.json) LIKE ANY (text.words || text.names) END
                    AND lower((readable_json(e.json) #> '{content,body}')::text) LIKE ANY (text.words || text.names)
                LIMIT $8
            ) AS found
            "#,
            &of(|range| range.room_nid.0),
            &of(|range| range.after.0),
            &of(|range| range.upto.0),
            &of(|range| limit(range.events_max)),
            &lines(|range| &range.words),
            &lines(|range| &range.names),
            HIDDEN,
            limit(found_max)
        )
        .fetch_all(self.db.pool())
        .await?;
        Ok(nids.into_iter().map(EventNid).collect())
    }

    /// The number of events in each range, which is no greater than `events_max`. It takes one query, mostly from the index alone.
    #[tracing::instrument(name = "db.history.count_ranges", skip_all)]
    pub async fn count_ranges(
        &self,
        ranges: &[UnreadRange],
        events_max: usize,
    ) -> Result<Vec<usize>, StorageError> {
        let of = |of: fn(&UnreadRange) -> i64| -> Vec<i64> { ranges.iter().map(of).collect() };
        let counts = sqlx::query_scalar!(
            r#"
            SELECT counted.events AS "events!"
            FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) WITH ORDINALITY AS s (room_nid, after, upto, ord)
            CROSS JOIN LATERAL (
                SELECT count(*) AS events FROM (
                    SELECT FROM events WHERE room_nid = s.room_nid AND pos > s.after AND pos <= s.upto
                    ORDER BY pos DESC LIMIT $4
                ) AS e
            ) AS counted
            ORDER BY s.ord
            "#,
            &of(|range| range.room_nid.0),
            &of(|range| range.after.0),
            &of(|range| range.upto.0),
            limit(events_max)
        )
        .fetch_all(self.db.pool())
        .await?;
        Ok(counts.into_iter().map(|count| usize::try_from(count).unwrap_or_default()).collect())
    }

    /// The newest messages that a user sent in each of some ranges of rooms, one for each thread and one that relates to nothing, among
    /// the newest events there that are looked through. It takes one query.
    #[tracing::instrument(name = "db.history.list_newest_own", skip_all)]
    pub async fn list_newest_own(
        &self,
        ranges: &[UnreadRange],
        user_id: &UserId,
    ) -> Result<Vec<OwnMessage>, StorageError> {
        let of = |of: fn(&UnreadRange) -> i64| -> Vec<i64> { ranges.iter().map(of).collect() };
        let rows = sqlx::query!(
            r#"
            SELECT s.ord AS "ord!", own.thread AS "thread?", own.pos AS "pos!", own.notify_ordinal AS "notify_ordinal!"
            FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $6::bigint[]) WITH ORDINALITY
                AS s (room_nid, after, upto, events_max, ord)
            CROSS JOIN LATERAL (
                SELECT DISTINCT ON (t.parent_id) t.parent_id AS thread, e.pos, e.notify_ordinal FROM (
                    SELECT event_nid, pos, notify_ordinal, sender, state_key_nid, redacts FROM events
                    WHERE room_nid = s.room_nid AND pos > s.after AND pos <= s.upto AND flags & $5 < 1
                    ORDER BY pos DESC LIMIT s.events_max
                ) AS e
                LEFT JOIN LATERAL (
                    SELECT parent_id, rel_type FROM event_relations WHERE child_nid = e.event_nid OFFSET 0
                ) AS t ON true
                WHERE e.sender = $4 AND e.state_key_nid IS NULL AND e.redacts IS NULL
                    AND (t.rel_type IS NULL OR t.rel_type = 'm.thread')
                ORDER BY t.parent_id, e.pos DESC
            ) AS own
            "#,
            &of(|range| range.room_nid.0),
            &of(|range| range.after.0),
            &of(|range| range.upto.0),
            user_id.as_str(),
            HIDDEN,
            &of(|range| limit(range.events_max))
        )
        .fetch_all(self.db.pool())
        .await?;
        let rows = rows.into_iter().map(|row| OwnMessage {
            range: usize::try_from(row.ord - 1).unwrap_or(usize::MAX),
            thread: row.thread.map(Into::into),
            pos: StreamPos(row.pos),
            notify_ordinal: row.notify_ordinal,
        });
        Ok(rows.collect())
    }

    /// The events that count by the default rules and yet do not count for a user: they were redacted, or are by one of `silenced`.
    /// They are looked for among the newest events of each range that are looked through. It takes one query.
    #[tracing::instrument(name = "db.history.list_uncounted", skip_all)]
    pub async fn list_uncounted(
        &self,
        ranges: &[UnreadRange],
        silenced: &[String],
    ) -> Result<Vec<Uncounted>, StorageError> {
        let of = |of: fn(&UnreadRange) -> i64| -> Vec<i64> { ranges.iter().map(of).collect() };
        let rows = sqlx::query!(
            r#"
            SELECT s.ord AS "ord!", e.pos AS "pos!", t.root AS "thread?"
            FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $5::bigint[]) WITH ORDINALITY
                AS s (room_nid, after, upto, events_max, ord)
            CROSS JOIN LATERAL (
                SELECT event_nid, pos, notify_ordinal, redacted_by IS NOT NULL OR sender = ANY ($6) AS is_uncounted FROM events
                WHERE room_nid = s.room_nid AND pos > s.after AND pos <= s.upto AND flags & $4 < 1
                ORDER BY pos DESC LIMIT s.events_max
            ) AS e
            -- What counts has a greater ordinal than what is before it.
            CROSS JOIN LATERAL (
                SELECT notify_ordinal FROM events WHERE room_nid = s.room_nid AND pos < e.pos AND e.is_uncounted
                ORDER BY pos DESC LIMIT 1
            ) AS before
            LEFT JOIN LATERAL (
                SELECT coalesce(thread_root, parent_id) AS root FROM event_relations
                WHERE child_nid = e.event_nid AND (thread_root <> '' OR thread_root IS NULL AND rel_type = 'm.thread') OFFSET 0
            ) AS t ON true
            WHERE e.is_uncounted AND e.notify_ordinal > before.notify_ordinal
            "#,
            &of(|range| range.room_nid.0),
            &of(|range| range.after.0),
            &of(|range| range.upto.0),
            HIDDEN,
            &of(|range| limit(range.events_max)),
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

fn limit(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
