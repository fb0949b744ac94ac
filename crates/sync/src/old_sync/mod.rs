//! The ways to read that `/sync` took the place of, and that previews of rooms, bots and test suites still use: `GET /events`,
//! `GET /initialSync` and `GET /rooms/{roomId}/initialSync`. Their tokens are those of `/sync`.

mod chunk;
mod events;
mod initial_sync;
mod room_initial_sync;
mod snapshot;
mod written;

use myelin_events::client::Format;

pub use self::{
    events::{EventsError, EventsRequest, events},
    initial_sync::{InitialSyncError, InitialSyncRequest, initial_sync},
    room_initial_sync::{RoomInitialSyncError, room_initial_sync},
};
use crate::reader::EventForm;

/// The number of events that a room or an answer has where the client does not say.
pub const EVENTS_DEFAULT: usize = 10;

/// The form of events: as clients know them, or `raw`, as servers exchange them.
fn form(raw: bool) -> EventForm<'static> {
    EventForm { format: if raw { Format::Federation } else { Format::Room }, fields: &[] }
}

/// A JSON list, written item by item.
struct List<'o> {
    out: &'o mut String,
    start: usize,
}

impl<'o> List<'o> {
    /// Write the member `key` of an object, which is a list.
    fn begin(key: &str, out: &'o mut String) -> Self {
        out.push_str(&format!("\"{key}\":["));
        let start = out.len();
        Self { out, start }
    }

    /// Begin the next item, and give the text that it is to be appended to.
    fn item(&mut self) -> &mut String {
        if self.out.len() > self.start {
            self.out.push(',');
        }
        self.out
    }

    fn end(self) {
        self.out.push(']');
    }
}
