//! Relations to events of many rooms at once.

use std::collections::HashSet;

use myelin_model::{EventNid, StreamPos};
use ruma::{OwnedUserId, UserId};

use super::{Relations, events::HIDDEN};
use crate::StorageError;

/// The number of events that are named of those that relate to one in one way.
const CHILDREN_MAX: i32 = 100;

/// The events that relate to one by one kind of relation.
#[derive(Debug, Clone)]
pub struct RelatedRow {
    /// The event that they relate to.
    pub parent_nid: EventNid,
    /// The kind of relation.
    pub rel_type: Box<str>,
    /// The number of events that relate to it.
    pub count: i64,
    /// The events, each with its position: the most recent first, not more than a hundred.
    pub children: Vec<(EventNid, StreamPos)>,
    /// Whether the reader sent the event, or one of those that relate to it.
    pub participated: bool,
}

impl Relations<'_> {
    /// Find what is aggregated of the events that relate to `parents`, each of which is given with the last position that the reader sees
    /// of its room: valid edits, threads and references, but for what the ignored sent. It takes one query.
    ///
    /// Nothing is aggregated for state, edits and annotations; no thread begins at what relates to another event itself. An edit
    /// is valid if it has a new content (which cannot be seen where it is encrypted), and type and sender of the original, which
    /// was not redacted.
    #[tracing::instrument(name = "db.relations.list_related", skip_all)]
    pub async fn list_related(
        &self,
        parents: &[(EventNid, StreamPos)],
        reader: &UserId,
        ignored: &[String],
    ) -> Result<Vec<RelatedRow>, StorageError> {
        let (nids, upto): (Vec<i64>, Vec<i64>) =
            parents.iter().map(|(nid, upto)| (nid.0, upto.0)).unzip();
        let rows = sqlx::query!(
            r#"
            SELECT p.event_nid AS "event_nid!", r.rel_type AS "rel_type!", count(*) AS "count!",
                bool_or(r.sender = $2 OR p.sender = $2) AS "participated!",
                (array_agg(r.child_nid ORDER BY
                    CASE WHEN r.rel_type = 'm.replace' THEN e.origin_server_ts ELSE r.pos END DESC, e.event_id DESC
                ))[1:$4] AS "children!",
                (array_agg(r.pos ORDER BY
                    CASE WHEN r.rel_type = 'm.replace' THEN e.origin_server_ts ELSE r.pos END DESC, e.event_id DESC
                ))[1:$4] AS "positions!"
            FROM unnest($1::bigint[], $6::bigint[]) AS n (nid, upto)
            -- Lookups by key, never joins of whole tables.
            JOIN LATERAL (
                SELECT event_nid, room_nid, event_id, sender, event_type, redacted_by FROM events
                WHERE event_nid = n.nid AND state_key_nid IS NULL OFFSET 0
            ) AS p ON true
            JOIN LATERAL (
                SELECT child_nid, rel_type, pos, event_type, sender FROM event_relations
                WHERE room_nid = p.room_nid AND parent_id = p.event_id OFFSET 0
            ) AS r ON true
            -- It names `r`, so that it is looked up for the few events that something relates to, and not for all.
            LEFT JOIN LATERAL (
                SELECT rel_type FROM event_relations
                WHERE child_nid = p.event_nid AND p.redacted_by IS NULL AND r.child_nid IS NOT NULL OFFSET 0
            ) AS own ON true
            JOIN LATERAL (
                SELECT event_id, origin_server_ts, json FROM events
                WHERE event_nid = r.child_nid AND redacted_by IS NULL AND flags & $5 < 1 OFFSET 0
            ) AS e ON true
            WHERE r.pos <= n.upto AND NOT r.sender = ANY ($3)
                AND COALESCE(own.rel_type NOT IN ('m.replace', 'm.annotation'), true)
                AND CASE r.rel_type
                    WHEN 'm.reference' THEN true
                    WHEN 'm.thread' THEN own.rel_type IS NULL
                    WHEN 'm.replace' THEN p.redacted_by IS NULL AND r.sender = p.sender AND r.event_type = p.event_type
                        AND CASE r.event_type WHEN 'm.room.encrypted' THEN true
                            ELSE json_typeof(readable_json(e.json) #> '{content,m.new_content}') = 'object' END
                    ELSE false
                END
            GROUP BY p.event_nid, r.rel_type
            "#,
            &nids,
            reader.as_str(),
            ignored,
            CHILDREN_MAX,
            HIDDEN,
            &upto
        )
        .fetch_all(self.db.pool())
        .await?;
        let rows = rows.into_iter().map(|row| RelatedRow {
            parent_nid: EventNid(row.event_nid),
            rel_type: row.rel_type.into(),
            count: row.count,
            children: row
                .children
                .into_iter()
                .zip(row.positions)
                .map(|(nid, pos)| (EventNid(nid), StreamPos(pos)))
                .collect(),
            participated: row.participated,
        });
        Ok(rows.collect())
    }

    /// The events among these that some event relates to which was not redacted: by one of the types if they are given,
    /// and sent by one of the senders if they are given. It takes one query.
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
