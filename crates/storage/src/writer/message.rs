//! A batch that is one message: the database has a quicker way for it.

use myelin_model::{Event, RoomNid};
use sqlx::{PgConnection, Row as _};

use super::{
    Append,
    batch::Batch,
    columns::{newest, state, to_ts},
};
use crate::{StorageError, migrate::functions::call_function};

/// One message in a room that is there already.
pub(super) struct Message<'a> {
    append: &'a Append,
    event: &'a Event,
}

/// The place that a message got in the log.
pub(super) struct Written {
    pub(super) pos: i64,
    pub(super) shift: i64,
    pub(super) forked: bool,
}

impl<'a> Message<'a> {
    /// The only message of a batch. `None`: there is more in it, or it does more than stand in the log.
    pub(super) fn only(batch: &'a Batch) -> Option<Self> {
        let ([append], [], []) = (&*batch.appends, &*batch.receipts, &*batch.to_device) else {
            return None;
        };
        let [event] = &*append.events else { return None };
        // By name, so that the compiler asks here whether a new field takes the other way.
        let Append {
            built_on,
            head: _,
            events: _,
            snapshots,
            memberships,
            departures,
            arrivals,
            late_redactions,
            missing,
            outside,
            resets,
            places,
            links,
            now_ms: _,
        } = append;
        let derives_nothing = snapshots.is_empty()
            && memberships.is_empty()
            && departures.is_empty()
            && arrivals.is_empty()
            && late_redactions.is_empty()
            && missing.is_empty()
            && outside.is_empty()
            && resets.is_empty()
            && places.is_empty()
            && links.is_empty();
        let is_message = !event.is_state()
            && event.membership.is_none()
            && event.replaces.is_none()
            && event.redacts.is_none();
        (built_on.newest.is_some() && derives_nothing && is_message)
            .then_some(Self { append, event })
    }

    /// The room of the message.
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
        let extremities: Vec<i64> = head.extremities.iter().map(|one| one.nid.0).collect();
        let built_on_extremities: Vec<i64> = built_on.extremities.iter().map(|nid| nid.0).collect();
        let query = call_function!(append_message(
            r_nid: head.room_nid.0,
            r_expected: newest(built_on.newest),
            r_version: newest(head.newest),
            r_depth: head.depth,
            r_extremities: extremities,
            r_state: state(built_on.state_nid),
            r_ordinal: head.notify_ordinal,
            r_built_on: built_on_extremities,
            r_built_ordinal: built_on.notify_ordinal,
            e_nid: event.nid.0,
            e_depth: event.depth,
            e_ts: event.origin_server_ts,
            e_before: event.state_before.map(|nid| nid.0),
            e_after: event.state_after.map(|nid| nid.0),
            e_flags: event.flags.0,
            e_id: event.event_id.as_str(),
            e_type: &*event.event_type,
            e_sender: event.sender.as_str(),
            e_json: &*event.json,
            t_device: transaction.map(|transaction| transaction.device_id.as_str()),
            t_path: transaction.map(|transaction| &*transaction.path),
            t_txn: transaction.map(|transaction| &*transaction.txn_id),
            t_ts: to_ts(self.append.now_ms),
        ));
        let row = query.fetch_one(connection).await?;
        let Some(pos) = row.try_get("pos")? else { return Ok(None) };
        Ok(Some(Written { pos, shift: row.try_get("shift")?, forked: row.try_get("forked")? }))
    }
}
