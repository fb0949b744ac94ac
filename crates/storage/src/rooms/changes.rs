//! The log's entries about a user and rooms, for users who were away for long.

use std::sync::Arc;

use myelin_model::{RoomNid, StreamPos};
use ruma::UserId;

use crate::{
    Db, StorageError,
    log::{LogEntry, Row},
};

/// Reads of what happened to users and rooms.
#[derive(Debug, Clone, Copy)]
pub struct Changes<'db> {
    db: &'db Db,
}

impl Db {
    /// Reads of the changes of users and rooms.
    pub fn changes(&self) -> Changes<'_> {
        Changes { db: self }
    }
}

impl Changes<'_> {
    /// The changes that concern a user or the rooms: the entries of the log, room events aside, and the rooms that have
    /// newer events. Changes of device lists concern everybody.
    #[tracing::instrument(name = "db.changes.list", skip_all, fields(user.id = %user_id))]
    pub async fn list(
        &self,
        user_id: &UserId,
        room_nids: &[RoomNid],
        after: StreamPos,
        upto: StreamPos,
    ) -> Result<(Vec<Arc<LogEntry>>, Vec<RoomNid>), StorageError> {
        let room_nids: Vec<i64> = room_nids.iter().map(|nid| nid.0).collect();
        let rows = sqlx::query_as!(
            ChangeRow,
            r#"
            SELECT pos AS "pos!", kind, room_nid, user_id, payload FROM log
            WHERE pos > $3 AND pos <= $4 AND user_id = $1
            UNION ALL
            SELECT l.pos, l.kind, l.room_nid, l.user_id, l.payload FROM unnest($2::bigint[]) AS r (room_nid)
            CROSS JOIN LATERAL (
                SELECT pos, kind, room_nid, user_id, payload FROM log
                WHERE log.room_nid = r.room_nid AND pos > $3 AND pos <= $4 AND user_id IS DISTINCT FROM $1
                OFFSET 0 -- one look into the index a room, however many entries other rooms have
            ) AS l
            UNION ALL
            SELECT last_pos, NULL, room_nid, NULL, NULL FROM rooms
            WHERE room_nid = ANY ($2) AND last_pos > $3
            UNION ALL
            SELECT pos, kind, room_nid, user_id, payload FROM log
            WHERE pos > $3 AND pos <= $4 AND kind = kind_device_list() AND user_id <> $1
            ORDER BY 1
            "#,
            user_id.as_str(),
            &room_nids,
            after.0,
            upto.0
        )
        .fetch_all(self.db.pool())
        .await?;
        Ok(self.decode(rows))
    }

    /// The same, of the log's entries the first ones, at most `entries_max`, and without device lists: for a client that goes on
    /// where an answer ended.
    #[tracing::instrument(name = "db.changes.list_next", skip_all, fields(user.id = %user_id))]
    pub async fn list_next(
        &self,
        user_id: &UserId,
        room_nids: &[RoomNid],
        after: StreamPos,
        upto: StreamPos,
        entries_max: usize,
    ) -> Result<(Vec<Arc<LogEntry>>, Vec<RoomNid>), StorageError> {
        let room_nids: Vec<i64> = room_nids.iter().map(|nid| nid.0).collect();
        let rows = sqlx::query_as!(
            ChangeRow,
            r#"
            SELECT pos AS "pos!", kind, room_nid, user_id, payload FROM (
                (
                    SELECT pos, kind, room_nid, user_id, payload FROM log
                    WHERE pos > $3 AND pos <= $4 AND user_id = $1
                    ORDER BY pos LIMIT $5
                )
                UNION ALL
                SELECT l.pos, l.kind, l.room_nid, l.user_id, l.payload FROM unnest($2::bigint[]) AS r (room_nid)
                CROSS JOIN LATERAL (
                    SELECT pos, kind, room_nid, user_id, payload FROM log
                    WHERE log.room_nid = r.room_nid AND pos > $3 AND pos <= $4 AND user_id IS DISTINCT FROM $1
                    ORDER BY pos LIMIT $5
                ) AS l
                ORDER BY 1 LIMIT $5
            ) AS next
            UNION ALL
            SELECT last_pos, NULL, room_nid, NULL, NULL FROM rooms
            WHERE room_nid = ANY ($2) AND last_pos > $3
            ORDER BY 1
            "#,
            user_id.as_str(),
            &room_nids,
            after.0,
            upto.0,
            i64::try_from(entries_max).unwrap_or(i64::MAX)
        )
        .fetch_all(self.db.pool())
        .await?;
        Ok(self.decode(rows))
    }

    fn decode(&self, rows: Vec<ChangeRow>) -> (Vec<Arc<LogEntry>>, Vec<RoomNid>) {
        let (mut entries, mut changed) = (Vec::new(), Vec::new());
        for row in rows {
            match (row.kind, row.payload) {
                (Some(kind), Some(payload)) => {
                    let (pos, room_nid, user_id) = (StreamPos(row.pos), row.room_nid, row.user_id);
                    let row = Row { kind, room_nid, user_id, payload };
                    let change = self.db.log().read_row(pos, &row);
                    entries.push(Arc::new(LogEntry { pos, change }));
                }
                _ => changed.extend(row.room_nid.map(RoomNid)),
            }
        }
        (entries, changed)
    }
}

/// An entry of the log; or a room with its newest position, where `kind` is not set.
struct ChangeRow {
    pos: i64,
    kind: Option<i16>,
    room_nid: Option<i64>,
    user_id: Option<String>,
    payload: Option<String>,
}
