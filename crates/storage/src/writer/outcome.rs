//! The outcome of a batch.

use std::{collections::HashMap, ops::Range, sync::Arc};

use myelin_model::{Event, EventFlags, RoomNid, StreamPos};

use super::{
    Delivery,
    batch::{Answer, Batch, Placement, delivery_change, receipt_change, resets},
};
use crate::{
    heads::RoomHead,
    log::{Change, LogEntry},
};

/// The outcome of a batch.
pub(super) struct Outcome {
    /// The log's entries, in order.
    pub(super) entries: Vec<Arc<LogEntry>>,
    /// The range in `entries` of each append's events, in order. `None` where the room has moved on.
    pub(super) appended: Vec<Option<Range<usize>>>,
    /// The heads of rooms that the batch made, as they stand after it.
    pub(super) new_rooms: HashMap<RoomNid, RoomHead>,
}

impl Outcome {
    /// Give out positions as the function did: events in order, then resets, then receipts, then messages to
    /// devices.
    pub(super) fn new(batch: Batch, answer: &Answer) -> Self {
        let mut pos = StreamPos(answer.base);
        let mut entries = Vec::new();
        let mut ranges = Vec::with_capacity(batch.appends.len());
        let mut later = Vec::new();
        let mut new_rooms = HashMap::new();
        let left_out = batch.left_out();
        for (append, left_out) in batch.appends.into_iter().zip(left_out) {
            let placement = answer.rooms.get(&append.head.room_nid).filter(|_| !left_out);
            let Some(placement) = placement else {
                ranges.push(None);
                continue;
            };
            later.extend(resets(&append));
            let start = entries.len();
            for mut event in append.events {
                pos = pos.next();
                event.pos = Some(pos);
                placement.correct(&mut event);
                entries.push(Arc::new(LogEntry { pos, change: Change::Event(Arc::new(event)) }));
            }
            ranges.push(Some(start..entries.len()));
            let room_nid = append.head.room_nid;
            if append.built_on.newest.is_none() || new_rooms.contains_key(&room_nid) {
                let head = RoomHead { last_pos: pos, ..Arc::unwrap_or_clone(append.head) };
                new_rooms.insert(room_nid, head);
            }
        }
        // The function counts from 1.
        let place = |ord: &i32| usize::try_from(*ord - 1).ok();
        let moved = answer.receipts_moved.iter().filter_map(place);
        later.extend(moved.filter_map(|at| batch.receipts.get(at)).map(receipt_change));
        let deliveries: Vec<&Delivery> =
            batch.to_device.iter().flat_map(|sent| &sent.deliveries).collect();
        let delivered = answer.delivered.iter().filter_map(place);
        later.extend(delivered.filter_map(|at| deliveries.get(at).copied()).map(delivery_change));
        for change in later {
            pos = pos.next();
            entries.push(Arc::new(LogEntry { pos, change }));
        }
        Self { entries, appended: ranges, new_rooms }
    }
}

impl Placement {
    /// Make an event what is stored of it.
    fn correct(&self, event: &mut Event) {
        event.notify_ordinal += self.shift;
        if self.forked {
            event.flags = event.flags.without(EventFlags::LINEAR);
        }
    }
}
