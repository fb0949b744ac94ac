//! Queries over `event_relations`.

use myelin_model::{EventNid, RoomNid, StreamPos};
use ruma::{EventId, UserId};

use super::events::HIDDEN;
use crate::{Db, StorageError};

/// A page of the events that relate to one.
#[derive(Debug, Clone)]
pub struct RelationsPage<'a> {
    pub room_nid: RoomNid,
    /// The event that they relate to.
    pub parent_id: &'a EventId,
    /// The only kind of relation that is wanted. `None`: any.
    pub rel_type: Option<&'a str>,
    /// The only type of event that is wanted. `None`: any.
    pub event_type: Option<&'a str>,
    /// The number of relations that may lead from an event to the parent.
    pub depth: i32,
    /// The position after which the events stand.
    pub after: StreamPos,
    /// The position up to which the events stand, itself included.
    pub upto: StreamPos,
    /// The newest events come first. Otherwise the oldest do.
    pub backward: bool,
    /// The number of events at most.
    pub limit: usize,
}

/// A page of a room's threads.
#[derive(Debug, Clone)]
pub struct ThreadsPage<'a> {
    /// The room's number.
    pub room_nid: RoomNid,
    /// The position at or before which the newest event of a thread stands.
    pub upto: StreamPos,
    /// The position of the last event that the reader sees.
    pub seen_upto: StreamPos,
    /// The user who took part in the threads. `None`: anybody.
    pub participant: Option<&'a UserId>,
    /// The users whose threads are those in which others speak.
    pub ignored: &'a [String],
    /// The number of threads at most.
    pub limit: usize,
}

/// Reads of relations.
#[derive(Debug, Clone, Copy)]
pub struct Relations<'db> {
    pub(super) db: &'db Db,
}

impl Db {
    /// Reads of relations.
    pub fn relations(&self) -> Relations<'_> {
        Relations { db: self }
    }
}

impl Relations<'_> {
    /// A page of the events that relate to one.
    #[tracing::instrument(name = "db.relations.list", skip_all)]
    pub async fn list(&self, page: &RelationsPage<'_>) -> Result<Vec<EventNid>, StorageError> {
        let nids = sqlx::query_scalar!(
            r#"
            WITH RECURSIVE related AS (
                SELECT r.child_nid, r.pos, r.rel_type, r.event_type, 1 AS depth
                FROM event_relations r WHERE r.room_nid = $1 AND r.parent_id = $2
                UNION ALL
                SELECT r.child_nid, r.pos, r.rel_type, r.event_type, related.depth + 1
                FROM related JOIN events e ON e.event_nid = related.child_nid
                JOIN event_relations r ON r.room_nid = $1 AND r.parent_id = e.event_id
                -- Redacted, an event relates to nothing: what relates to it is of no further event.
                WHERE related.depth < $5 AND e.redacted_by IS NULL
            )
            SELECT DISTINCT ON (CASE WHEN $8 THEN -related.pos ELSE related.pos END) related.child_nid AS "child_nid!"
            FROM related JOIN events e ON e.event_nid = related.child_nid
            WHERE e.redacted_by IS NULL AND e.flags & $10 < 1 AND ($3::text IS NULL OR related.rel_type = $3)
                AND ($4::text IS NULL OR related.event_type = $4) AND related.pos > $6 AND related.pos <= $7
            ORDER BY CASE WHEN $8 THEN -related.pos ELSE related.pos END LIMIT $9
            "#,
            page.room_nid.0,
            page.parent_id.as_str(),
            page.rel_type,
            page.event_type,
            page.depth,
            page.after.0,
            page.upto.0,
            page.backward,
            i64::try_from(page.limit).unwrap_or(i64::MAX),
            HIDDEN
        )
        .fetch_all(self.db.pool())
        .await?;
        Ok(nids.into_iter().map(EventNid).collect())
    }

    /// The roots of a room's threads with the position of the newest event in each, newest first.
    #[tracing::instrument(name = "db.relations.list_threads", skip_all)]
    pub async fn list_threads(
        &self,
        page: &ThreadsPage<'_>,
    ) -> Result<Vec<(EventNid, StreamPos)>, StorageError> {
        let rows = sqlx::query!(
            r#"
            SELECT p.event_nid AS "event_nid!", max(r.pos) AS "last!"
            FROM event_relations r
            -- Lookups by key, never joins of whole tables.
            JOIN LATERAL (
                SELECT 1 FROM events WHERE event_nid = r.child_nid AND redacted_by IS NULL AND flags & $5 < 1 OFFSET 0
            ) AS e ON true
            JOIN LATERAL (
                SELECT event_nid, sender, redacted_by FROM events
                WHERE event_id = r.parent_id AND room_nid = r.room_nid OFFSET 0
            ) AS p ON true
            -- What relates to another event itself is no root. Redacted, it relates to nothing.
            LEFT JOIN LATERAL (
                SELECT child_nid FROM event_relations WHERE child_nid = p.event_nid AND p.redacted_by IS NULL OFFSET 0
            ) AS own ON true
            WHERE r.room_nid = $1 AND r.rel_type = 'm.thread' AND r.pos <= $7
                -- Of what the ignored began is shown what others say there.
                AND NOT (r.sender = ANY ($6) AND p.sender = ANY ($6))
                AND own.child_nid IS NULL
            GROUP BY p.event_nid, p.sender
            HAVING max(r.pos) <= $2 AND ($3::text IS NULL OR bool_or(r.sender = $3) OR p.sender = $3)
            ORDER BY max(r.pos) DESC LIMIT $4
            "#,
            page.room_nid.0,
            page.upto.0,
            page.participant.map(UserId::as_str),
            i64::try_from(page.limit).unwrap_or(i64::MAX),
            HIDDEN,
            page.ignored,
            page.seen_upto.0
        )
        .fetch_all(self.db.pool())
        .await?;
        Ok(rows.into_iter().map(|row| (EventNid(row.event_nid), StreamPos(row.last))).collect())
    }

    /// Whether anything in a room relates to an event, which may be one that is not known.
    #[tracing::instrument(name = "db.relations.is_related_to", skip_all)]
    pub async fn is_related_to(
        &self,
        room_nid: RoomNid,
        parent_id: &EventId,
    ) -> Result<bool, StorageError> {
        let found = sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT FROM event_relations WHERE room_nid = $1 AND parent_id = $2) AS "found!""#,
            room_nid.0,
            parent_id.as_str()
        )
        .fetch_one(self.db.pool())
        .await?;
        Ok(found)
    }

    /// Whether a user has annotated an event with this key, by an event of this type that was not redacted since.
    #[tracing::instrument(name = "db.relations.is_annotated", skip_all)]
    pub async fn is_annotated(
        &self,
        room_nid: RoomNid,
        parent_id: &EventId,
        sender: &UserId,
        event_type: &str,
        key: &str,
    ) -> Result<bool, StorageError> {
        // Such a key is kept with another character, and PostgreSQL takes no such text.
        if [event_type, key].iter().any(|text| text.contains('\0')) {
            return Ok(false);
        }
        let found = sqlx::query_scalar!(
            r#"
            SELECT EXISTS (
                SELECT FROM event_relations r
                -- A lookup by key for each, whatever the planner believes of the tables.
                JOIN LATERAL (SELECT json, redacted_by, flags FROM events WHERE event_nid = r.child_nid OFFSET 0) AS e ON true
                WHERE r.room_nid = $1 AND r.parent_id = $2 AND r.rel_type = 'm.annotation' AND r.sender = $3
                    AND r.event_type = $4 AND e.redacted_by IS NULL AND e.flags & $6 < 1
                    AND readable_json(e.json) #>> '{content,m.relates_to,key}' = $5
            ) AS "found!"
            "#,
            room_nid.0,
            parent_id.as_str(),
            sender.as_str(),
            event_type,
            key,
            HIDDEN
        )
        .fetch_one(self.db.pool())
        .await?;
        Ok(found)
    }
}
