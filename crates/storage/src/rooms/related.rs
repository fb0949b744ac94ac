//! Relations to events of many rooms at once.

use std::collections::HashSet;

use myelin_model::EventNid;
use ruma::{OwnedUserId, UserId};

use super::{Relations, events::HIDDEN};
use crate::StorageError;

/// How many events that relate to one are named.
const CHILDREN_MAX: i32 = 100;

/// What relates to an event by one kind of relation.
#[derive(Debug, Clone)]
pub struct RelatedRow {
    /// The event that it relates to.
    pub parent_nid: EventNid,
    /// The kind.
    pub rel_type: Box<str>,
    /// How many events relate to it.
    pub count: i64,
    /// The newest of them first, not more than a hundred.
    pub children: Vec<EventNid>,
    /// Whether the reader sent one of them.
    pub participated: bool,
}

impl Relations<'_> {
    /// What relates to events: edits by their senders, threads and references, but for what the ignored sent. One query.
    pub async fn list_related(
        &self,
        parents: &[EventNid],
        reader: &UserId,
        ignored: &[OwnedUserId],
    ) -> Result<Vec<RelatedRow>, StorageError> {
        let parents: Vec<i64> = parents.iter().map(|nid| nid.0).collect();
        let ignored: Vec<String> = ignored.iter().map(ToString::to_string).collect();
        let rows = sqlx::query!(
            r#"
            SELECT p.event_nid AS "event_nid!", r.rel_type AS "rel_type!", count(*) AS "count!", bool_or(r.sender = $2) AS "participated!",
                (array_agg(r.child_nid ORDER BY
                    CASE WHEN r.rel_type = 'm.replace' THEN e.origin_server_ts ELSE r.pos END DESC, e.event_id DESC
                ))[1:$4] AS "children!"
            FROM unnest($1::bigint[]) AS n (nid)
            -- Lookups by key, never joins of whole tables.
            JOIN LATERAL (SELECT * FROM events WHERE event_nid = n.nid OFFSET 0) AS p ON true
            JOIN LATERAL (
                SELECT * FROM event_relations WHERE room_nid = p.room_nid AND parent_id = p.event_id OFFSET 0
            ) AS r ON true
            JOIN LATERAL (
                SELECT event_id, origin_server_ts FROM events
                WHERE event_nid = r.child_nid AND redacted_by IS NULL AND flags & $5 < 1 OFFSET 0
            ) AS e ON true
            WHERE r.rel_type IN ('m.replace', 'm.thread', 'm.reference') AND NOT r.sender = ANY ($3)
                AND (r.rel_type <> 'm.replace' OR r.sender = p.sender AND r.event_type = p.event_type)
            GROUP BY p.event_nid, r.rel_type
            "#,
            &parents,
            reader.as_str(),
            &ignored,
            CHILDREN_MAX,
            HIDDEN
        )
        .fetch_all(self.db.pool())
        .await?;
        let rows = rows.into_iter().map(|row| RelatedRow {
            parent_nid: EventNid(row.event_nid),
            rel_type: row.rel_type.into(),
            count: row.count,
            children: row.children.into_iter().map(EventNid).collect(),
            participated: row.participated,
        });
        Ok(rows.collect())
    }

    /// Those of the events that some event relates to which was not redacted: by one of the types if they are given, and sent by
    /// one of the senders if they are given. One query.
    pub async fn find_related_by(
        &self,
        parents: &[EventNid],
        rel_types: Option<&[String]>,
        senders: Option<&[OwnedUserId]>,
    ) -> Result<HashSet<EventNid>, StorageError> {
        let parents: Vec<i64> = parents.iter().map(|nid| nid.0).collect();
        let senders: Option<Vec<String>> =
            senders.map(|senders| senders.iter().map(ToString::to_string).collect());
        let rows = sqlx::query_scalar!(
            r#"
            SELECT DISTINCT p.event_nid AS "event_nid!" FROM unnest($1::bigint[]) AS n (nid)
            -- Lookups by key, never joins of whole tables.
            JOIN LATERAL (SELECT * FROM events WHERE event_nid = n.nid OFFSET 0) AS p ON true
            JOIN LATERAL (
                SELECT * FROM event_relations WHERE room_nid = p.room_nid AND parent_id = p.event_id OFFSET 0
            ) AS r ON true
            JOIN LATERAL (
                SELECT 1 FROM events WHERE event_nid = r.child_nid AND redacted_by IS NULL AND flags & $4 < 1 OFFSET 0
            ) AS e ON true
            WHERE ($2::text[] IS NULL OR r.rel_type = ANY ($2)) AND ($3::text[] IS NULL OR r.sender = ANY ($3))
            "#,
            &parents,
            rel_types as Option<&[String]>,
            senders.as_deref() as Option<&[String]>,
            HIDDEN
        )
        .fetch_all(self.db.pool())
        .await?;
        Ok(rows.into_iter().map(EventNid).collect())
    }
}
