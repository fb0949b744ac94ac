//! Reading the log.

use std::{collections::HashMap, sync::Arc};

use myelin_model::{Event, RoomNid, StreamPos};

use super::{
    Change, LogEntry,
    encoding::{self, Row},
    unknown::{Unknown, Unknowns},
};
use crate::{
    StorageError,
    reads::Reads,
    rooms::{EventRow, read_rows},
};

/// The position of the newest entry.
pub(super) async fn end(pool: &Reads) -> Result<StreamPos, StorageError> {
    let pos = sqlx::query_scalar!("SELECT pos FROM log_head").fetch_one(pool).await?;
    Ok(StreamPos(pos))
}

/// The entries after `after` up to `upto`, which must be committed, in order.
///
/// What this version of the server does not know comes as [`Change::Other`], so that no position is missed.
pub(super) async fn entries(
    pool: &Reads,
    after: StreamPos,
    upto: StreamPos,
    unknowns: &Unknowns,
) -> Result<Vec<Arc<LogEntry>>, StorageError> {
    let rows = sqlx::query_as!(
        LogRow,
        r#"
        SELECT pos AS "pos!", kind AS "kind?", room_nid, user_id, payload AS "payload?", NULL::bigint AS event_nid
        FROM log WHERE pos > $1 AND pos <= $2
        UNION ALL
        SELECT pos, NULL, room_nid, NULL, NULL, event_nid
        FROM events WHERE pos + 0 > $1 AND pos + 0 <= $2 -- the index of the log is on this
        ORDER BY 1
        "#,
        after.0,
        upto.0,
    )
    .fetch_all(pool)
    .await?;
    let nids: Vec<i64> = rows.iter().filter_map(|row| row.event_nid).collect();
    let events = read_rows(pool, &nids).await?;
    let mut events: HashMap<i64, EventRow> =
        events.into_iter().map(|row| (row.event_nid, row)).collect();

    let entry = |row: LogRow| {
        let pos = StreamPos(row.pos);
        let change = match (row.event_nid, row.kind) {
            (Some(nid), _) => event(row.room_nid, events.remove(&nid)),
            (None, kind) => encoding::decode(&Row {
                kind: kind.unwrap_or_default(),
                room_nid: row.room_nid,
                user_id: row.user_id,
                payload: row.payload.unwrap_or_default(),
            }),
        };
        let change = change.unwrap_or_else(|unknown| unknowns.count(pos, *unknown));
        Arc::new(LogEntry { pos, change })
    };
    Ok(rows.into_iter().map(entry).collect())
}

/// A row of the log: of `log`, or the place of an event.
struct LogRow {
    pos: i64,
    kind: Option<i16>,
    room_nid: Option<i64>,
    user_id: Option<String>,
    payload: Option<String>,
    event_nid: Option<i64>,
}

/// An event of a room. It is missing where it was purged in this moment.
fn event(room_nid: Option<i64>, row: Option<EventRow>) -> Result<Change, Box<Unknown>> {
    let Some(row) = row else {
        return Ok(Change::Other { room_nid: room_nid.map(RoomNid), user_id: None });
    };
    let room_nid = row.room_nid;
    match Event::try_from(row) {
        Ok(event) => Ok(Change::Event(Arc::new(event))),
        Err(error) => Err(Unknown::event(room_nid, error)),
    }
}
