//! Queries over `receipts`.

use myelin_model::{RoomNid, StreamPos};
use ruma::{OwnedEventId, OwnedUserId, UserId};

use crate::{Db, StorageError};

/// A receipt.
#[derive(Debug, Clone)]
pub struct ReceiptRow {
    pub room_nid: RoomNid,
    /// The user who has read.
    pub user_id: OwnedUserId,
    /// The kind of receipt: `m.read` or `m.read.private`.
    pub receipt_type: Box<str>,
    /// The thread: empty for the unthreaded receipt.
    pub thread_id: Box<str>,
    /// The event up to which the user has read.
    pub event_id: OwnedEventId,
    /// The place of that event in the log.
    pub event_pos: StreamPos,
    /// The [`myelin_model::Event::notify_ordinal`] of that event.
    pub notify_ordinal: i64,
    /// The time of reading, in milliseconds since the epoch.
    pub ts: u64,
}

struct Row {
    room_nid: i64,
    user_id: String,
    receipt_type: String,
    thread_id: String,
    event_pos: i64,
    ts: i64,
    event_id: String,
    notify_ordinal: i64,
}

impl TryFrom<Row> for ReceiptRow {
    type Error = StorageError;

    fn try_from(row: Row) -> Result<Self, StorageError> {
        Ok(Self {
            room_nid: RoomNid(row.room_nid),
            user_id: OwnedUserId::try_from(row.user_id)
                .map_err(StorageError::inconsistent("receipts.user_id"))?,
            receipt_type: row.receipt_type.into(),
            thread_id: row.thread_id.into(),
            event_id: OwnedEventId::try_from(row.event_id)
                .map_err(StorageError::inconsistent("events.event_id"))?,
            event_pos: StreamPos(row.event_pos),
            notify_ordinal: row.notify_ordinal,
            ts: u64::try_from(row.ts).unwrap_or_default(),
        })
    }
}

/// Reads of receipts.
#[derive(Debug, Clone, Copy)]
pub struct Receipts<'db> {
    db: &'db Db,
}

impl Db {
    /// Receipts.
    pub fn receipts(&self) -> Receipts<'_> {
        Receipts { db: self }
    }
}

impl Receipts<'_> {
    /// The receipts in rooms: everybody's public ones, and the user's own.
    #[tracing::instrument(name = "db.receipts.list", skip_all, fields(user.id = %user_id))]
    pub async fn list(
        &self,
        room_nids: &[RoomNid],
        user_id: &UserId,
    ) -> Result<Vec<ReceiptRow>, StorageError> {
        let room_nids: Vec<i64> = room_nids.iter().map(|nid| nid.0).collect();
        let rows = sqlx::query_as!(
            Row,
            r#"
            SELECT n.room_nid AS "room_nid!", r.user_id, r.receipt_type, r.thread_id, r.event_pos, r.ts, e.event_id,
                e.notify_ordinal
            FROM unnest($1::bigint[]) AS n (room_nid)
            -- Lookups by key, never joins of whole tables.
            CROSS JOIN LATERAL (
                SELECT user_id, receipt_type, thread_id, event_nid, event_pos, ts FROM receipts
                WHERE room_nid = n.room_nid AND (user_id = $2 OR receipt_type <> 'm.read.private') OFFSET 0
            ) AS r
            CROSS JOIN LATERAL (SELECT event_id, notify_ordinal FROM events WHERE event_nid = r.event_nid OFFSET 0) AS e
            "#,
            &room_nids,
            user_id.as_str()
        )
        .fetch_all(self.db.pool())
        .await?;
        let receipts = rows.into_iter().map(ReceiptRow::try_from);
        Ok(receipts.filter_map(|receipt| self.db.pool().readable(receipt)).collect())
    }

    /// The user's own receipts in rooms.
    #[tracing::instrument(name = "db.receipts.list_own", skip_all, fields(user.id = %user_id))]
    pub async fn list_own(
        &self,
        room_nids: &[RoomNid],
        user_id: &UserId,
    ) -> Result<Vec<ReceiptRow>, StorageError> {
        let room_nids: Vec<i64> = room_nids.iter().map(|nid| nid.0).collect();
        let rows = sqlx::query_as!(
            Row,
            r#"
            SELECT n.room_nid AS "room_nid!", r.user_id, r.receipt_type, r.thread_id, r.event_pos, r.ts, e.event_id,
                e.notify_ordinal
            FROM unnest($1::bigint[]) AS n (room_nid)
            -- Lookups by key, never joins of whole tables.
            CROSS JOIN LATERAL (
                SELECT user_id, receipt_type, thread_id, event_nid, event_pos, ts FROM receipts
                WHERE room_nid = n.room_nid AND user_id = $2 OFFSET 0
            ) AS r
            CROSS JOIN LATERAL (SELECT event_id, notify_ordinal FROM events WHERE event_nid = r.event_nid OFFSET 0) AS e
            "#,
            &room_nids,
            user_id.as_str()
        )
        .fetch_all(self.db.pool())
        .await?;
        let receipts = rows.into_iter().map(ReceiptRow::try_from);
        Ok(receipts.filter_map(|receipt| self.db.pool().readable(receipt)).collect())
    }
}
