//! The events that come next in rooms, for those who read forward.

use myelin_model::{EventNid, RoomNid, StreamPos};

use super::{History, events::HIDDEN};
use crate::StorageError;

impl History<'_> {
    /// The first visible events of the rooms after a position and up to another, oldest first, at most `limit`.
    #[tracing::instrument(name = "db.history.list_next", skip_all)]
    pub async fn list_next(
        &self,
        room_nids: &[RoomNid],
        after: StreamPos,
        upto: StreamPos,
        limit: usize,
    ) -> Result<Vec<EventNid>, StorageError> {
        let rooms: Vec<i64> = room_nids.iter().map(|nid| nid.0).collect();
        let nids = sqlx::query_scalar!(
            r#"
            SELECT e.event_nid FROM unnest($1::bigint[]) AS r (room_nid)
            CROSS JOIN LATERAL (
                SELECT event_nid, pos FROM events
                WHERE room_nid = r.room_nid AND pos > $2 AND pos <= $3 AND flags & $5 < 1
                ORDER BY pos LIMIT $4
            ) AS e
            ORDER BY e.pos LIMIT $4
            "#,
            &rooms,
            after.0,
            upto.0,
            i64::try_from(limit).unwrap_or(i64::MAX),
            HIDDEN
        )
        .fetch_all(self.db.pool())
        .await?;
        Ok(nids.into_iter().map(EventNid).collect())
    }
}
