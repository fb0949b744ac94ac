//! A batch that is one message: the database has a quicker way for it.

use myelin_model::{Event, EventNid, RoomNid};
use sqlx::PgConnection;

use super::{Append, batch::Batch};
use crate::StorageError;

/// One message in a room that is there already.
pub(super) struct Message<'a> {
    append: &'a Append,
    event: &'a Event,
}

/// How a message stands in the log.
pub(super) struct Written {
    pub(super) pos: i64,
    pub(super) shift: i64,
    pub(super) forked: bool,
}

impl<'a> Message<'a> {
    /// The only message of a batch. `None`: there is more in it, or it does more than stand in the log.
    pub(super) fn only(batch: &'a Batch) -> Option<Self> {
        let ([append], []) = (&*batch.appends, &*batch.receipts) else { return None };
        let [event] = &*append.events else { return None };
        let derives_nothing = append.snapshots.is_empty()
            && append.memberships.is_empty()
            && append.resets.is_empty()
            && append.places.is_empty()
            && append.links.is_empty();
        let is_message = !event.is_state()
            && event.membership.is_none()
            && event.replaces.is_none()
            && event.redacts.is_none();
        (append.built_on.version != 0 && derives_nothing && is_message)
            .then_some(Self { append, event })
    }

    /// Where it goes.
    pub(super) fn room_nid(&self) -> RoomNid {
        self.append.head.room_nid
    }

    /// Append it. It is flushed then. `None` where it must not be appended or the transaction is known.
    pub(super) async fn write(
        &self,
        connection: &mut PgConnection,
    ) -> Result<Option<Written>, StorageError> {
        let (head, event) = (&self.append.head, self.event);
        let transaction = event.transaction.as_ref();
        let built_on = &self.append.built_on;
        let nids = |nids: &[EventNid]| nids.iter().map(|nid| nid.0).collect::<Vec<_>>();
        let extremities: Vec<i64> = head.extremities.iter().map(|one| one.nid.0).collect();
        let to_ts = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
        let written = sqlx::query!(
            "SELECT pos, shift, forked FROM append_message($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15,
                $16, $17, $18, $19, $20, $21, $22)",
            head.room_nid.0,
            built_on.version,
            head.version,
            head.depth,
            &extremities,
            head.chain.state_nid().map_or(0, |nid| nid.0),
            head.notify_ordinal,
            &nids(&built_on.extremities),
            built_on.notify_ordinal,
            event.nid.0,
            event.depth,
            to_ts(event.origin_server_ts),
            event.state_before.map(|nid| nid.0),
            event.state_after.map(|nid| nid.0),
            event.flags.0,
            event.event_id.as_str(),
            &event.event_type,
            event.sender.as_str(),
            &event.json,
            transaction.map(|transaction| transaction.device_id.as_str()),
            transaction.map(|transaction| &*transaction.txn_id),
            to_ts(self.append.now_ms)
        );
        let written = written.fetch_one(connection).await?;
        Ok(written.pos.map(|pos| Written {
            pos,
            shift: written.shift.unwrap_or_default(),
            forked: written.forked.unwrap_or_default(),
        }))
    }
}
