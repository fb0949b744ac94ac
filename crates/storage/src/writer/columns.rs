//! The way in which the items of a batch become rows.

use std::collections::{HashMap, hash_map::Entry};

use myelin_model::{Event, EventNid, Membership, RoomNid, StateNid};

use super::{
    Append, Known, NewReceipt, SentToDevice,
    batch::{Batch, delivery_change, receipt_change, resets},
    rows::{
        ArrivalRow, ChainLinkRow, ChainPlaceRow, Columns, DeliveryRow, DeviceMessageRow, EventRow,
        LateRedactionRow, MembershipRow, MissingRow, OutsideRow, ReceiptRow, RequestRow, ResetRow,
        RoomRow, SnapshotRow, TransactionRow,
    },
};
use crate::{StorageError, log::encode};

impl<'a> Columns<'a> {
    /// The rows of a batch, without the appends that are left out.
    pub(super) fn of(batch: &'a Batch, left_out: &[bool]) -> Result<Self, StorageError> {
        let mut columns = Self::default();
        let appends = batch.appends.iter().zip(left_out).filter(|(_, left_out)| !**left_out);
        let appends: Vec<&Append> = appends.map(|(append, _)| append).collect();
        for room in rooms(&appends) {
            columns.rooms.push(room);
        }
        for append in appends {
            for event in &append.events {
                columns.add_event(event, append.now_ms);
            }
            columns.add_received(append);
            columns.add_derived(append)?;
        }
        for receipt in &batch.receipts {
            columns.add_receipt(receipt)?;
        }
        let mut deliveries = 1..;
        for (request, number) in batch.to_device.iter().zip(1..) {
            columns.add_request(request, number, &mut deliveries)?;
        }
        Ok(columns)
    }

    fn add_event(&mut self, event: &'a Event, now_ms: u64) {
        self.events.push(EventRow {
            room: event.room_nid.0,
            nid: event.nid.0,
            depth: event.depth,
            ts: event.origin_server_ts,
            state_key: event.state_key_nid.map(|nid| nid.0),
            before: event.state_before.map(|nid| nid.0),
            after: event.state_after.map(|nid| nid.0),
            replaces: event.replaces.map(|nid| nid.0),
            redacts: event.redacts.map(|nid| nid.0),
            redacted_by: event.redacted_by.map(|nid| nid.0),
            ordinal: event.notify_ordinal,
            flags: event.flags.0,
            membership: event.membership.map(Membership::to_i16),
            id: event.event_id.as_str(),
            event_type: &event.event_type,
            sender: event.sender.as_str(),
            json: &event.json,
        });
        if let Some(transaction) = &event.transaction {
            self.transactions.push(TransactionRow {
                room: event.room_nid.0,
                user: event.sender.as_str(),
                device: transaction.device_id.as_str(),
                path: &transaction.path,
                txn: &transaction.txn_id,
                event: event.nid.0,
                ts: to_ts(now_ms),
            });
        }
    }

    fn add_received(&mut self, append: &'a Append) {
        let room = append.head.room_nid.0;
        for arrival in &append.arrivals {
            self.arrivals.push(ArrivalRow {
                room,
                event: arrival.event_nid.0,
                id: arrival.event_id.as_str(),
                looked_up: arrival.known.is_some(),
                stored: matches!(arrival.known, Some(Known::Stored { .. })),
                pos: match arrival.known {
                    Some(Known::Stored { pos }) => pos.map(|pos| pos.0),
                    Some(Known::Nothing) | None => None,
                },
                ts: to_ts(append.now_ms),
            });
        }
        for late in &append.late_redactions {
            self.late_redactions.push(LateRedactionRow {
                room,
                redaction: late.redaction.0,
                target: late.target_id.as_str(),
                powerful: late.is_powerful,
            });
        }
        for told in &append.outside {
            self.outside.push(OutsideRow {
                room,
                event: told.event_nid.0,
                stripped: &told.stripped,
            });
        }
        for gap in &append.missing {
            self.missing.push(MissingRow {
                room,
                event: gap.follower.0,
                missing: gap.event_id.as_str(),
            });
        }
    }

    fn add_derived(&mut self, append: &'a Append) -> Result<(), StorageError> {
        let room = append.head.room_nid.0;
        for snapshot in &append.snapshots {
            self.snapshots.push(SnapshotRow {
                room,
                nid: snapshot.state_nid.0,
                base: snapshot.base_nid.map(|nid| nid.0),
                delta: &snapshot.delta,
            });
        }
        for change in &append.memberships {
            self.memberships.push(MembershipRow {
                room,
                user: change.user_id.as_str(),
                membership: Some(change.membership.to_i16()),
                event: Some(change.event_nid.0),
            });
        }
        for user_id in &append.departures {
            let user = user_id.as_str();
            self.memberships.push(MembershipRow { room, user, membership: None, event: None });
        }
        for place in &append.places {
            self.chain_places.push(ChainPlaceRow {
                room,
                event: place.event_nid.0,
                chain: place.chain_nid.0,
                seq: place.seq,
            });
        }
        for link in &append.links {
            self.chain_links.push(ChainLinkRow {
                room,
                chain: link.chain_nid.0,
                seq: link.seq,
                target_chain: link.target_chain_nid.0,
                target_seq: link.target_seq,
            });
        }
        for reset in resets(append) {
            if let Some(row) = encode(&reset)? {
                self.resets.push(ResetRow { room, kind: row.kind, payload: row.payload });
            }
        }
        Ok(())
    }

    fn add_receipt(&mut self, receipt: &'a NewReceipt) -> Result<(), StorageError> {
        let Some(row) = encode(&receipt_change(receipt))? else { return Ok(()) };
        self.receipts.push(ReceiptRow {
            room: receipt.room_nid.0,
            user: receipt.user_id.as_str(),
            receipt_type: &receipt.receipt_type,
            thread: &receipt.thread_id,
            event: receipt.event_nid.0,
            event_pos: receipt.event_pos.0,
            ts: to_ts(receipt.ts),
            payload: row.payload,
        });
        Ok(())
    }

    /// A request, of which `deliveries` counts those of the whole batch.
    fn add_request(
        &mut self,
        sent: &'a SentToDevice,
        request: i64,
        deliveries: &mut impl Iterator<Item = i64>,
    ) -> Result<(), StorageError> {
        self.requests.push(RequestRow {
            user: sent.sender.as_str(),
            device: &sent.device_id,
            event_type: &sent.event_type,
            txn: &sent.txn_id,
            ts: to_ts(sent.now_ms),
        });
        for (delivered, delivery) in sent.deliveries.iter().zip(deliveries) {
            let Some(row) = encode(&delivery_change(delivered))? else { continue };
            let user = delivered.user_id.as_str();
            self.deliveries.push(DeliveryRow { request, user, payload: row.payload });
            for (device_id, message) in &delivered.messages {
                let device = device_id.as_str();
                let row = DeviceMessageRow { request, delivery, user, device, message };
                self.messages.push(row);
            }
        }
        Ok(())
    }
}

/// One row a room: appends to one room follow each other, from what the first was built upon to the last's head.
fn rooms<'a>(appends: &[&'a Append]) -> Vec<RoomRow<'a>> {
    let mut rooms: Vec<RoomRow<'a>> = Vec::new();
    let mut places: HashMap<RoomNid, usize> = HashMap::new();
    for append in appends {
        match places.entry(append.head.room_nid) {
            Entry::Occupied(place) => {
                if let Some(room) = rooms.get_mut(*place.get()) {
                    leave(room, append);
                }
            }
            Entry::Vacant(place) => {
                place.insert(rooms.len());
                rooms.push(room(append));
            }
        }
    }
    rooms
}

fn room(append: &Append) -> RoomRow<'_> {
    let (head, built_on) = (&*append.head, &append.built_on);
    let mut room = RoomRow {
        nid: head.room_nid.0,
        id: head.room_id.as_str(),
        room_version: head.room_version.as_str(),
        expected: newest(built_on.newest),
        version: 0,
        depth: 0,
        extremities: String::new(),
        state: 0,
        ordinal: 0,
        built_on: array(built_on.extremities.iter().copied()),
        built_state: state(built_on.state_nid),
        built_ordinal: built_on.notify_ordinal,
    };
    leave(&mut room, append);
    room
}

/// Give a row the head that an append leaves.
fn leave(room: &mut RoomRow<'_>, append: &Append) {
    let head = &*append.head;
    room.version = newest(head.newest);
    room.depth = head.depth;
    room.extremities = array(head.extremities.iter().map(|extremity| extremity.nid));
    room.state = state(head.chain.state_nid());
    room.ordinal = head.notify_ordinal;
    if append.built_on.state_nid.is_none() {
        room.built_state = 0;
    }
}

/// The number of a head's newest event in the database: 0 before a room's first event.
pub(super) fn newest(nid: Option<EventNid>) -> i64 {
    nid.map_or(0, |nid| nid.0)
}

/// The number of a state in the database: 0 for the empty state of a new room.
pub(super) fn state(nid: Option<StateNid>) -> i64 {
    nid.map_or(0, |nid| nid.0)
}

/// The number of a time in the database.
pub(super) fn to_ts(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

/// The text of an array.
fn array(nids: impl Iterator<Item = EventNid>) -> String {
    let nids: Vec<String> = nids.map(|nid| nid.to_string()).collect();
    format!("{{{}}}", nids.join(","))
}
