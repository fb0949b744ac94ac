//! Transactions.

use std::sync::Arc;

use myelin_model::StreamPos;
use sqlx::{Postgres, Row as _, Transaction};
use tokio::sync::oneshot;

use crate::{
    StorageError,
    log::{Change, Feed, Log, LogEntry, encode},
    migrate::functions::call_function,
};

/// An open transaction, and the only way to write what does not go through the [`crate::Writer`].
///
/// Dropped without [`Tx::commit`], it rolls back.
#[derive(Debug)]
pub struct Tx {
    pub(crate) inner: Transaction<'static, Postgres>,
    log: Log,
    published: Vec<Change>,
}

impl Tx {
    pub(crate) fn new(inner: Transaction<'static, Postgres>, log: Log) -> Self {
        Self { inner, log, published: Vec::new() }
    }

    /// Take the lock of the log, which gives changes their order. To be called before rows are written that appending events writes,
    /// too, such as memberships: the writer takes that lock first and those rows then, and in another order each could wait for the
    /// other. Nobody can write until the transaction ends, so do little and commit at once.
    pub(crate) async fn lock_log(&mut self) -> Result<(), StorageError> {
        call_function!(log_lock()).execute(&mut *self.inner).await?;
        Ok(())
    }

    /// Announce a change to clients and other nodes. It gets its position when the transaction commits.
    /// Room events cannot be published: they are appended by the [`crate::Writer`].
    pub fn publish(&mut self, change: Change) {
        debug_assert!(change.as_event().is_none(), "events are appended, not published");
        self.published.push(change);
    }

    /// Announce a change before all others of the transaction: one by which users may lose their access must reach nodes before what
    /// those users would hear of.
    pub(crate) fn publish_first(&mut self, change: Change) {
        self.published.insert(0, change);
    }

    /// Make everything visible to others. Returns when it is flushed and, if something was published, applied on
    /// this node: the position of the last change published, or zero if nothing was.
    pub async fn commit(mut self) -> Result<StreamPos, StorageError> {
        let published = std::mem::take(&mut self.published);
        let (mut kinds, mut room_nids, mut user_ids, mut payloads) =
            (vec![], vec![], vec![], vec![]);
        let mut changes = Vec::with_capacity(published.len());
        for change in published {
            if let Some(row) = encode(&change)? {
                kinds.push(row.kind);
                room_nids.push(row.room_nid);
                user_ids.push(row.user_id);
                payloads.push(row.payload);
                changes.push(change);
            }
        }
        if changes.is_empty() {
            self.inner.commit().await?;
            return Ok(StreamPos::ZERO);
        }
        let writing = self.log.begin_write();
        // Takes the lock of the log, so it comes last, and the commit follows at once.
        let published = call_function!(log_publish(
            kinds: kinds,
            room_nids: room_nids,
            user_ids: user_ids,
            payloads: payloads,
        ));
        let first: i64 = published.fetch_one(&mut *self.inner).await?.try_get("first")?;
        self.inner.commit().await?;

        let entries: Vec<Arc<LogEntry>> = (first..)
            .zip(changes)
            .map(|(pos, change)| Arc::new(LogEntry { pos: StreamPos(pos), change }))
            .collect();
        let last = entries.last().map_or(StreamPos::ZERO, |entry| entry.pos);
        let (applied, wait) = oneshot::channel();
        let then = Box::new(move || {
            // Who asked may have gone away.
            let _ = applied.send(());
        });
        self.log.feed(Feed { entries, then })?;
        drop(writing);
        wait.await.map_err(|_| StorageError::Stopping)?;
        Ok(last)
    }
}
