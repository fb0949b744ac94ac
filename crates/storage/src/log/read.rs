//! Reading the log.

use std::sync::Arc;

use myelin_model::{EventNid, StreamPos};
use sqlx::PgPool;

use super::{
    Change, LogEntry,
    change::{self, Row},
};
use crate::{StorageError, rooms::read_by_nids};

/// The position of the newest entry.
pub(super) async fn end(pool: &PgPool) -> Result<StreamPos, StorageError> {
    let pos = sqlx::query_scalar!("SELECT pos FROM log_head").fetch_one(pool).await?;
    Ok(StreamPos(pos))
}

/// The entries after `after` up to `upto`, which must be committed, in order.
///
/// What this version of the server has no use for comes as [`Change::Other`], so that no position is missed.
pub(super) async fn entries(
    pool: &PgPool,
    after: StreamPos,
    upto: StreamPos,
) -> Result<Vec<Arc<LogEntry>>, StorageError> {
    let rows = sqlx::query!(
        r#"
        SELECT pos AS "pos!", kind AS "kind?", room_nid, user_id, payload AS "payload?", NULL::bigint AS event_nid
        FROM log WHERE pos > $1 AND pos <= $2
        UNION ALL
        SELECT pos, NULL, NULL, NULL, NULL, event_nid
        FROM events WHERE pos + 0 > $1 AND pos + 0 <= $2 -- the index of the log is on this
        ORDER BY 1
        "#,
        after.0,
        upto.0,
    )
    .fetch_all(pool)
    .await?;
    let nids: Vec<i64> = rows.iter().filter_map(|row| row.event_nid).collect();
    let mut events = read_by_nids(pool, &nids).await?;

    rows.into_iter()
        .map(|row| {
            let change = match (row.event_nid, row.kind) {
                (Some(nid), _) => events.remove(&EventNid(nid)).map(Change::Event),
                (None, Some(kind)) => change::decode(Row {
                    kind,
                    room_nid: row.room_nid,
                    user_id: row.user_id,
                    payload: row.payload.unwrap_or_default(),
                })?,
                (None, None) => None,
            };
            Ok(Arc::new(LogEntry {
                pos: StreamPos(row.pos),
                change: change.unwrap_or(Change::Other),
            }))
        })
        .collect()
}
