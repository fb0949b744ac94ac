//! Queries over `retrials`: rejected events that are judged anew when another event stands otherwise.

use myelin_model::{EventFlags, EventNid};
use ruma::{EventId, OwnedEventId};

use crate::{Db, StorageError, Tx};

/// An event that speaks against a rejected one as long as it stands as it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Awaited {
    pub event_id: OwnedEventId,
    /// Whether it has no place in the history: that is awaited. Else it is rejected, and that is to end.
    pub is_missing: bool,
}

/// Reads of retrials.
#[derive(Debug, Clone, Copy)]
pub struct Retrials<'db> {
    db: &'db Db,
}

impl Db {
    /// Retrials.
    pub fn retrials(&self) -> Retrials<'_> {
        Retrials { db: self }
    }
}

impl Retrials<'_> {
    /// The rejected events, at most `count_max`, that are to be judged anew because of how an event stands now.
    #[tracing::instrument(name = "db.retrials.list_due", skip_all)]
    pub async fn list_due(
        &self,
        awaited: &EventId,
        count_max: u32,
    ) -> Result<Vec<EventNid>, StorageError> {
        let nids = sqlx::query_scalar!(
            "SELECT r.event_nid FROM retrials r
             WHERE r.awaited_id = $1 AND EXISTS (
                SELECT FROM events e WHERE e.event_id = $1
                    AND CASE WHEN r.is_missing THEN e.pos IS NOT NULL ELSE e.flags & $2 < 1 END)
             ORDER BY r.event_nid LIMIT $3",
            awaited.as_str(),
            EventFlags::REJECTED.0,
            i64::from(count_max)
        )
        .fetch_all(self.db.pool())
        .await?;
        Ok(nids.into_iter().map(EventNid).collect())
    }

    /// The rejected events, at most `count_max`, that wait for an event to find its place.
    #[tracing::instrument(name = "db.retrials.list_waiting", skip_all)]
    pub async fn list_waiting(
        &self,
        awaited: &EventId,
        count_max: u32,
    ) -> Result<Vec<EventNid>, StorageError> {
        let nids = sqlx::query_scalar!(
            "SELECT event_nid FROM retrials WHERE awaited_id = $1 AND is_missing ORDER BY event_nid LIMIT $2",
            awaited.as_str(),
            i64::from(count_max)
        )
        .fetch_all(self.db.pool())
        .await?;
        Ok(nids.into_iter().map(EventNid).collect())
    }

    /// Whether a rejected event is to be judged anew. It takes one query.
    #[tracing::instrument(name = "db.retrials.is_due", skip_all)]
    pub async fn is_due(&self, event_nid: EventNid) -> Result<bool, StorageError> {
        let is_due = sqlx::query_scalar!(
            r#"
            SELECT EXISTS (
                SELECT FROM retrials r
                CROSS JOIN LATERAL (SELECT pos, flags FROM events WHERE event_id = r.awaited_id OFFSET 0) AS e
                WHERE r.event_nid = $1 AND CASE WHEN r.is_missing THEN e.pos IS NOT NULL ELSE e.flags & $2 < 1 END
            ) AS "is_due!"
            "#,
            event_nid.0,
            EventFlags::REJECTED.0
        )
        .fetch_one(self.db.pool())
        .await?;
        Ok(is_due)
    }
}

/// Writes of retrials.
#[derive(Debug)]
pub struct RetrialsTx<'tx> {
    tx: &'tx mut Tx,
}

impl Tx {
    /// Retrials.
    pub fn retrials(&mut self) -> RetrialsTx<'_> {
        RetrialsTx { tx: self }
    }
}

impl RetrialsTx<'_> {
    /// Have a rejected event wait for these events, and for no others.
    #[tracing::instrument(name = "db.retrials.set", skip_all)]
    pub async fn set(
        &mut self,
        event_nid: EventNid,
        awaited: &[Awaited],
    ) -> Result<(), StorageError> {
        sqlx::query!("DELETE FROM retrials WHERE event_nid = $1", event_nid.0)
            .execute(&mut *self.tx.inner)
            .await?;
        if awaited.is_empty() {
            return Ok(());
        }
        let ids: Vec<String> = awaited.iter().map(|one| one.event_id.to_string()).collect();
        let missing: Vec<bool> = awaited.iter().map(|one| one.is_missing).collect();
        sqlx::query!(
            "INSERT INTO retrials (awaited_id, event_nid, is_missing)
             SELECT awaited.id, $1, bool_and(awaited.is_missing) FROM unnest($2::text[], $3::boolean[]) AS awaited (id, is_missing)
             GROUP BY awaited.id",
            event_nid.0,
            &ids,
            &missing
        )
        .execute(&mut *self.tx.inner)
        .await?;
        Ok(())
    }
}
