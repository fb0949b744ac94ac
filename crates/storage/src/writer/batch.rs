//! A batch, and what the database says of it.

use std::collections::{HashMap, hash_map::Entry};

use myelin_model::{EventNid, RoomNid};
use sqlx::{PgConnection, Row as _, postgres::PgRow};

use super::{
    Append, Delivery, NewReceipt, SentToDevice,
    message::{Message, Written},
    rows::Columns,
};
use crate::{StorageError, log::Change};

/// Items that go together. Items of one room stand in the order they were built upon each other.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) appends: Vec<Append>,
    pub(super) receipts: Vec<NewReceipt>,
    /// No two of them have the same transaction.
    pub(super) to_device: Vec<SentToDevice>,
}

/// The answer of the database to a batch.
#[derive(Default)]
pub(super) struct Answer {
    /// The log's end before it.
    pub(super) base: i64,
    /// The rooms whose events were appended.
    pub(super) rooms: HashMap<RoomNid, Placement>,
    /// The places of the receipts that were stored, from 1.
    pub(super) receipts_moved: Vec<i32>,
    /// The places of the deliveries to devices that were made, from 1.
    pub(super) delivered: Vec<i32>,
}

/// The place that a room's events got in the log.
pub(super) struct Placement {
    /// The number of events that notify and came in between.
    pub(super) shift: i64,
    /// Others are forward extremities beside the last of them.
    pub(super) forked: bool,
}

impl Batch {
    /// Append everything in one statement. It commits by itself: when this returns, everything is flushed.
    pub(super) async fn write(
        &self,
        connection: &mut PgConnection,
    ) -> Result<Answer, StorageError> {
        let Some(message) = Message::only(self) else {
            let query = Columns::of(self, &self.left_out())?.into_query();
            return Answer::read(&query.fetch_one(connection).await?);
        };
        Ok(match message.write(connection).await? {
            Some(Written { pos, shift, forked }) => Answer {
                base: pos - 1,
                rooms: HashMap::from([(message.room_nid(), Placement { shift, forked })]),
                receipts_moved: Vec::new(),
                delivered: Vec::new(),
            },
            None => Answer::default(),
        })
    }

    /// The appends that do not build upon the one before them in the batch for the same room: they cannot share a row
    /// with it, and are left out.
    pub(super) fn left_out(&self) -> Vec<bool> {
        let mut newest: HashMap<RoomNid, Option<EventNid>> = HashMap::new();
        let is_left_out = |append: &Append| match newest.entry(append.head.room_nid) {
            Entry::Occupied(last) if *last.get() != append.built_on.newest => true,
            entry => {
                *entry.or_default() = append.head.newest;
                false
            }
        };
        self.appends.iter().map(is_left_out).collect()
    }
}

impl Answer {
    fn read(row: &PgRow) -> Result<Self, StorageError> {
        let appended: Vec<i64> = row.try_get("appended")?;
        let shifts: Vec<i64> = row.try_get("shifts")?;
        let forked: Vec<bool> = row.try_get("forked")?;
        let placements =
            shifts.into_iter().zip(forked).map(|(shift, forked)| Placement { shift, forked });
        Ok(Self {
            base: row.try_get("base")?,
            rooms: appended.into_iter().map(RoomNid).zip(placements).collect(),
            receipts_moved: row.try_get("receipts_moved")?,
            delivered: row.try_get("delivered")?,
        })
    }
}

/// The log's entries for what state resolution did.
pub(super) fn resets(append: &Append) -> impl Iterator<Item = Change> {
    let room_nid = append.head.room_nid;
    append.resets.iter().map(move |(state_key_nid, event_nid)| Change::StateReset {
        room_nid,
        state_key_nid: *state_key_nid,
        event_nid: *event_nid,
    })
}

/// The log's entry for a receipt.
pub(super) fn receipt_change(receipt: &NewReceipt) -> Change {
    Change::Receipt {
        room_nid: receipt.room_nid,
        user_id: receipt.user_id.clone(),
        receipt_type: receipt.receipt_type.clone(),
        thread_id: receipt.thread_id.clone(),
        event_id: receipt.event_id.clone(),
        event_pos: receipt.event_pos,
        ts: receipt.ts,
    }
}

/// The log's entry for messages to the devices of a user.
pub(super) fn delivery_change(delivery: &Delivery) -> Change {
    Change::ToDevice {
        user_id: delivery.user_id.clone(),
        device_ids: delivery.messages.iter().map(|(device_id, _)| device_id.clone()).collect(),
    }
}
