//! Time under the test's control.

use std::sync::atomic::{AtomicU64, Ordering};

use myelin_model::Clock;

/// A clock that moves only when it is told to.
#[derive(Debug)]
pub struct TestClock {
    now_ms: AtomicU64,
}

impl Default for TestClock {
    fn default() -> Self {
        Self { now_ms: AtomicU64::new(1_700_000_000_000) }
    }
}

impl TestClock {
    /// Let time pass.
    pub fn advance_ms(&self, ms: u64) {
        self.now_ms.fetch_add(ms, Ordering::Relaxed);
    }
}

impl Clock for TestClock {
    fn now_ms(&self) -> u64 {
        self.now_ms.load(Ordering::Relaxed)
    }
}
