//! Beginning anew when another node was quicker.

use std::time::Duration;

use rand::RngExt as _;

use crate::EventError;

/// The number of times that a use case begins anew because another node was quicker.
const ATTEMPTS_MAX: u32 = 200;

/// The longest pause before an attempt. Pauses are random, so that two nodes do not keep step.
const PAUSE_MILLIS_MAX: u64 = 20;

/// Counts the attempts of a use case.
#[derive(Debug, Default)]
pub struct Attempts(u32);

impl Attempts {
    /// Call after [`crate::Refused::Conflict`]: waits a little. Fails with [`EventError::Busy`] when there were too many.
    pub async fn again(&mut self) -> Result<(), EventError> {
        self.0 += 1;
        if self.0 >= ATTEMPTS_MAX {
            return Err(EventError::Busy);
        }
        if self.0 > 1 {
            let most = u64::from(self.0).min(PAUSE_MILLIS_MAX);
            let pause = rand::rng().random_range(0..=most);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        Ok(())
    }
}
