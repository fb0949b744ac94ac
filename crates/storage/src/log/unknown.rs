//! Entries that this version of the server does not know, or cannot read. They stop nothing: a newer version may run beside this one.

use std::time::Duration;

use myelin_model::{RoomNid, StreamPos};
use parking_lot::Mutex;
use ruma::OwnedUserId;
use tokio::time::Instant;

use super::{Change, encoding::Row};
use crate::StorageError;

/// The time between two lines about unknown entries in the log of the program.
const TELL_INTERVAL: Duration = Duration::from_secs(60);

/// An entry that cannot be read.
#[derive(Debug)]
pub(super) struct Unknown {
    /// The knowledge of it that its row gives.
    pub(super) change: Change,
    reason: Reason,
}

#[derive(Debug)]
enum Reason {
    /// The kind is not known.
    Kind(i16),
    /// A value of the entry does not parse.
    Payload(StorageError),
}

impl Unknown {
    /// The row's kind is not known.
    pub(super) fn kind(row: &Row) -> Box<Self> {
        Box::new(Self { change: other(row), reason: Reason::Kind(row.kind) })
    }

    /// The row's payload does not parse.
    pub(super) fn payload(row: &Row, error: StorageError) -> Box<Self> {
        Box::new(Self { change: other(row), reason: Reason::Payload(error) })
    }

    /// An event of a room does not parse.
    pub(super) fn event(room_nid: i64, error: StorageError) -> Box<Self> {
        let change = Change::Other { room_nid: Some(RoomNid(room_nid)), user_id: None };
        Box::new(Self { change, reason: Reason::Payload(error) })
    }
}

fn other(row: &Row) -> Change {
    let user_id = row.user_id.as_deref().and_then(|user_id| OwnedUserId::try_from(user_id).ok());
    Change::Other { room_nid: row.room_nid.map(RoomNid), user_id }
}

/// Counts them, and tells of them now and then.
#[derive(Debug, Default)]
pub(super) struct Unknowns {
    told: Mutex<Told>,
}

#[derive(Debug, Default)]
struct Told {
    last: Option<Instant>,
    /// The number of entries since then.
    not_told: u64,
}

impl Unknowns {
    /// Count an entry, and give back what is known of it.
    pub(super) fn count(&self, pos: StreamPos, unknown: Unknown) -> Change {
        let reason = match &unknown.reason {
            Reason::Kind(_) => "kind",
            Reason::Payload(_) => "payload",
        };
        metrics::counter!("myelin_log_unknown_entries_total", "reason" => reason).increment(1);
        let mut told = self.told.lock();
        told.not_told += 1;
        if told.last.is_none_or(|last| last.elapsed() >= TELL_INTERVAL) {
            told.last = Some(Instant::now());
            unknown.reason.tell(pos, std::mem::take(&mut told.not_told));
        }
        unknown.change
    }
}

impl Reason {
    fn tell(&self, pos: StreamPos, count: u64) {
        match self {
            Reason::Kind(kind) => {
                tracing::warn!(%pos, kind, count, "the log has entries of an unknown kind; does a newer version run on this database?");
            }
            Reason::Payload(error) => tracing::warn!(
                %pos,
                count,
                error = error as &dyn std::error::Error,
                "the log has entries that cannot be read; does a newer version run on this database?"
            ),
        }
    }
}
