//! Pages of a room's history.

use std::sync::Arc;

use myelin_model::{Event, Membership, RoomNid, StateNid, StreamPos};

use crate::{
    Db, StorageError,
    rooms::{EventRow, HIDDEN},
};

/// The events of a page that are wanted. An empty filter wants all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PageFilter {
    /// Types as `LIKE` patterns; `None`: all.
    pub types: Option<Vec<String>>,
    /// Types that are not wanted, as `LIKE` patterns.
    pub not_types: Vec<String>,
    /// The senders that are wanted. `None`: all.
    pub senders: Option<Vec<String>>,
    /// Senders that are not wanted.
    pub not_senders: Vec<String>,
    /// Whether the content must have `url`, or must not. `None`: either.
    pub contains_url: Option<bool>,
    /// The users whose events must relate to a wanted event. `None`: no such demand.
    pub related_by_senders: Option<Vec<String>>,
    /// The types of relations, by one of which other events must relate to a wanted event. `None`: no such demand.
    pub related_by_rel_types: Option<Vec<String>>,
    /// The types of relations, by one of which a wanted event must relate to another. `None`: no such demand.
    pub rel_types: Option<Vec<String>>,
    /// Types of relations that are not wanted.
    pub not_rel_types: Vec<String>,
}

impl PageFilter {
    /// A pattern of the specification, with `*` for anything, as a `LIKE` pattern.
    pub fn like(pattern: &str) -> String {
        pattern.split('*').map(like_exactly).collect::<Vec<_>>().join("%")
    }
}

/// A text as a `LIKE` pattern that only the same text matches.
pub(crate) fn like_exactly(text: &str) -> String {
    let mut like = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '%' | '_' | '\\') {
            like.push('\\');
        }
        like.push(c);
    }
    like
}

/// A page to be read: events after `after` up to `upto`.
#[derive(Debug, Clone)]
pub struct Page<'a> {
    pub room_nid: RoomNid,
    /// The position after which the events stand.
    pub after: StreamPos,
    /// The position up to which the events stand, itself included.
    pub upto: StreamPos,
    /// The newest events come first. Otherwise the oldest do.
    pub backward: bool,
    /// The number of events at most.
    pub limit: usize,
    /// The filter of the events.
    pub filter: &'a PageFilter,
}

/// A bit that no event has: the query lends it to events that others relate to.
const RELATED: i16 = 16_384;

/// Events of a page.
#[derive(Debug, Default)]
pub struct HistoryPage {
    /// The events, in the order asked for.
    pub events: Vec<Arc<Event>>,
    /// Whether other events relate to some of them.
    pub has_relations: bool,
    /// The position of the last event, whether or not it could be read. `None`: there is none.
    pub last: Option<StreamPos>,
    /// Whether the page has as many events as were asked for, with those that could not be read.
    pub is_full: bool,
}

/// The query; only its order differs. The type of an event's relation is asked for as a value: `EXISTS` could be planned as
/// a scan of all relations.
macro_rules! rows {
    ($order:tt, $page:expr, $pool:expr) => {
        sqlx::query_as!(
            EventRow,
            r#"
        SELECT e.event_nid AS "event_nid!", e.room_nid AS "room_nid!", r.room_id AS "room_id!", e.pos,
            e.depth AS "depth!", e.origin_server_ts AS "origin_server_ts!", e.state_key_nid, k.state_key AS "state_key?",
            e.state_before, e.state_after, e.replaces, e.redacts, e.redacted_by,
            e.notify_ordinal AS "notify_ordinal!", 
            CASE WHEN EXISTS (
                SELECT 1 FROM event_relations x WHERE x.room_nid = e.room_nid AND x.parent_id = e.event_id
            ) THEN e.flags | 16384::smallint ELSE e.flags END AS "flags!", e.membership, e.event_id AS "event_id!",
            e.event_type AS "event_type!", e.sender AS "sender!", e.json AS "json!",
            t.device_id AS "txn_device_id?", t.event_type AS "txn_path?", t.txn_id AS "txn_id?"
        FROM events e
        -- Lookups by key, never joins of whole tables.
        JOIN LATERAL (SELECT room_id FROM rooms WHERE room_nid = e.room_nid OFFSET 0) AS r ON true
        LEFT JOIN LATERAL (SELECT state_key FROM state_keys WHERE state_key_nid = e.state_key_nid OFFSET 0) AS k ON true
        LEFT JOIN LATERAL (SELECT device_id, event_type, txn_id FROM transactions WHERE event_nid = e.event_nid OFFSET 0) AS t ON true
        WHERE e.room_nid = $1 AND e.pos > $2 AND e.pos <= $3 AND e.flags & $4 < 1
            AND ($5::text[] IS NULL OR e.event_type LIKE ANY ($5)) AND NOT e.event_type LIKE ANY ($6)
            AND ($7::text[] IS NULL OR e.sender = ANY ($7)) AND NOT e.sender = ANY ($8)
            AND ($9::boolean IS NULL OR COALESCE(
                json_typeof(readable_json(e.json) #> '{content,url}') = 'string' AND e.redacted_by IS NULL, false) = $9)
            AND ($11::text[] IS NULL AND $12::text[] IS NULL OR EXISTS (
                SELECT 1 FROM event_relations x JOIN events c ON c.event_nid = x.child_nid
                WHERE x.room_nid = $1 AND x.parent_id = e.event_id AND c.redacted_by IS NULL AND c.flags & $4 < 1
                    AND ($11::text[] IS NULL OR x.sender = ANY ($11))
                    AND ($12::text[] IS NULL OR x.rel_type = ANY ($12))
            ))
            AND ($13::text[] IS NULL OR e.redacted_by IS NULL
                AND (SELECT x.rel_type FROM event_relations x WHERE x.child_nid = e.event_nid) = ANY ($13))
            AND (cardinality($14::text[]) = 0 OR e.redacted_by IS NOT NULL OR COALESCE(
                (SELECT x.rel_type FROM event_relations x WHERE x.child_nid = e.event_nid) <> ALL ($14), true
            ))
        ORDER BY e.pos "# + $order + r#" LIMIT $10
        "#,
            $page.room_nid.0,
            $page.after.0,
            $page.upto.0,
            HIDDEN,
            $page.filter.types.as_deref() as Option<&[String]>,
            &$page.filter.not_types,
            $page.filter.senders.as_deref() as Option<&[String]>,
            &$page.filter.not_senders,
            $page.filter.contains_url,
            i64::try_from($page.limit).unwrap_or(i64::MAX),
            $page.filter.related_by_senders.as_deref() as Option<&[String]>,
            $page.filter.related_by_rel_types.as_deref() as Option<&[String]>,
            $page.filter.rel_types.as_deref() as Option<&[String]>,
            &$page.filter.not_rel_types,
        )
        .fetch_all($pool)
        .await?
    };
}

/// Reads of the history of rooms.
#[derive(Debug, Clone, Copy)]
pub struct History<'db> {
    pub(super) db: &'db Db,
}

impl Db {
    /// The history of rooms.
    pub fn history(&self) -> History<'_> {
        History { db: self }
    }
}

impl History<'_> {
    /// A page of a room's history, without rejected and soft-failed events. It takes one query.
    #[tracing::instrument(name = "db.history.list", skip_all, fields(room.nid = %page.room_nid))]
    pub async fn list(&self, page: &Page<'_>) -> Result<HistoryPage, StorageError> {
        let token = self.db.event_cache().begin_read();
        let rows = if page.backward {
            rows!("DESC", page, self.db.pool())
        } else {
            rows!("ASC", page, self.db.pool())
        };
        let last = rows.last().and_then(|row| row.pos).map(StreamPos);
        let is_full = rows.len() >= page.limit;
        let mut has_relations = false;
        let events = rows
            .into_iter()
            .filter_map(|mut row| {
                has_relations |= row.flags & RELATED != 0;
                row.flags &= !RELATED;
                let event = self.db.pool().readable(Event::try_from(row))?;
                // What is in memory already has its client form made.
                if let Some(known) = self.db.event_cache().find(event.nid)
                    && known.redacted_by == event.redacted_by
                {
                    return Some(known);
                }
                let event = Arc::new(event);
                self.db.event_cache().insert_read(&token, &event);
                Some(event)
            })
            .collect();
        Ok(HistoryPage { events, has_relations, last, is_full })
    }

    /// The snapshot of a room's state after the first join: its creator's.
    #[tracing::instrument(name = "db.history.find_first_state", skip_all, fields(room.nid = %room_nid))]
    pub async fn find_first_joined_state_nid(
        &self,
        room_nid: RoomNid,
    ) -> Result<Option<StateNid>, StorageError> {
        let nid = sqlx::query_scalar!(
            r#"SELECT state_after AS "state_after!" FROM events
               WHERE room_nid = $1 AND pos IS NOT NULL AND membership = $2 AND state_after IS NOT NULL
               ORDER BY pos LIMIT 1"#,
            room_nid.0,
            Membership::Join.to_i16()
        )
        .fetch_optional(self.db.pool())
        .await?;
        Ok(nid.map(StateNid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_escaped() {
        for (pattern, expect) in
            [("m.room.*", "m.room.%"), ("a_b%c\\", r"a\_b\%c\\"), ("*", "%"), ("plain", "plain")]
        {
            assert_eq!(PageFilter::like(pattern), expect);
        }
    }
}
