//! Rows that cannot be read: a newer version wrote them, or they are damaged.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::StorageError;

/// The time between two lines about unreadable rows in the log of the program.
const TELL_INTERVAL: Duration = Duration::from_secs(60);

/// Counts unreadable rows, and tells of them now and then.
#[derive(Debug, Default)]
pub(crate) struct Unreadable {
    told: Mutex<Told>,
}

#[derive(Debug, Default)]
struct Told {
    last: Option<Instant>,
    /// The number of rows since then.
    not_told: u64,
}

impl Unreadable {
    pub(crate) fn count(&self, error: &StorageError) {
        metrics::counter!("myelin_unreadable_rows_total").increment(1);
        let mut told = self.told.lock();
        told.not_told += 1;
        if told.last.is_none_or(|last| last.elapsed() >= TELL_INTERVAL) {
            told.last = Some(Instant::now());
            let count = std::mem::take(&mut told.not_told);
            let error = error as &dyn std::error::Error;
            tracing::error!(error, count, "rows that cannot be read are left out");
        }
    }
}
