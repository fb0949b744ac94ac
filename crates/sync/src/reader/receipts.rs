//! The receipts of a room, as an `m.receipt` event.

use std::collections::BTreeMap;

use myelin_events::canonical::write_string;
use myelin_storage::{Change, LogEntry, ReceiptRow};
use ruma::RoomId;

use super::events::write_room_id;

/// Receipt type → user → time and thread.
type ByType<'a> = BTreeMap<&'a str, BTreeMap<&'a str, (u64, &'a str)>>;

/// The user, type and thread of a receipt: there is one receipt of each.
type Key<'a> = (&'a str, &'a str, &'a str);

/// Receipts in the form of the event, the last of each user, type and thread.
#[derive(Default)]
pub(crate) struct Receipts<'a> {
    /// The events that were read up to, with the times.
    last: BTreeMap<Key<'a>, (&'a str, u64)>,
}

impl<'a> Receipts<'a> {
    /// Add a receipt from the database.
    pub(crate) fn add_row(&mut self, row: &'a ReceiptRow) {
        self.add(
            row.event_id.as_str(),
            &row.receipt_type,
            row.user_id.as_str(),
            row.ts,
            &row.thread_id,
        );
    }

    /// Add a receipt from the log, if `user_id` may hear of it.
    pub(crate) fn add_entry(&mut self, entry: &'a LogEntry, user_id: &ruma::UserId) {
        if let Change::Receipt { user_id: reader, receipt_type, thread_id, event_id, ts, .. } =
            &entry.change
            && (&**receipt_type != "m.read.private" || *reader == *user_id)
        {
            self.add(event_id.as_str(), receipt_type, reader.as_str(), *ts, thread_id);
        }
    }

    /// Add a receipt. It takes the place of those that were added before it.
    fn add(
        &mut self,
        event_id: &'a str,
        receipt_type: &'a str,
        user_id: &'a str,
        ts: u64,
        thread_id: &'a str,
    ) {
        self.last.insert((user_id, receipt_type, thread_id), (event_id, ts));
    }

    /// The receipts by event, type and user.
    fn by_event(&self) -> BTreeMap<&'a str, ByType<'a>> {
        let mut events: BTreeMap<&str, ByType<'_>> = BTreeMap::new();
        for ((user_id, receipt_type, thread_id), (event_id, ts)) in &self.last {
            let users = events.entry(event_id).or_default().entry(receipt_type).or_default();
            // The event has room for one of them: the unthreaded one, which comes first, says more (MSC4102).
            users.entry(user_id).or_insert((*ts, thread_id));
        }
        events
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.last.is_empty()
    }

    /// Write the event, if there are any receipts; with the room where that is not known otherwise.
    pub(crate) fn write(&self, room_id: Option<&RoomId>, out: &mut String) {
        if self.last.is_empty() {
            return;
        }
        out.push_str("{\"content\":{");
        write_members(out, &self.by_event(), |out, types| {
            out.push('{');
            write_members(out, types, |out, users| {
                out.push('{');
                write_members(out, users, |out, (ts, thread_id)| {
                    out.push('{');
                    if !thread_id.is_empty() {
                        out.push_str("\"thread_id\":");
                        write_string(out, thread_id);
                        out.push(',');
                    }
                    out.push_str(&format!("\"ts\":{ts}}}"));
                });
                out.push('}');
            });
            out.push('}');
        });
        out.push('}');
        write_room_id(room_id, out);
        out.push_str(",\"type\":\"m.receipt\"}");
    }
}

fn write_members<V>(
    out: &mut String,
    members: &BTreeMap<&str, V>,
    write: impl Fn(&mut String, &V),
) {
    for (at, (key, value)) in members.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        write_string(out, key);
        out.push(':');
        write(out, value);
    }
}
