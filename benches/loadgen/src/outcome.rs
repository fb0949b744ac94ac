//! The measurements of a round.

use std::time::{Duration, Instant};

use crate::usage::{Sample, Usage, Watch};

/// The measurements of a round.
#[derive(Default)]
pub(crate) struct Outcome {
    /// One for each operation that succeeded, or none where there is nothing to wait for.
    pub(crate) latencies: Latencies,
    /// Operations that succeeded, if that is not the number of latencies.
    pub(crate) operations: Option<usize>,
    pub(crate) errors: Errors,
    pub(crate) elapsed: Duration,
    pub(crate) usages: Vec<Usage>,
    /// Figures that only this scenario has.
    pub(crate) figures: Vec<(String, f64)>,
}

impl Outcome {
    /// Operations that succeeded.
    pub(crate) fn count(&self) -> usize {
        self.operations.unwrap_or(self.latencies.0.len())
    }
}

/// Errors, and the first of them in full.
#[derive(Default, Clone)]
pub(crate) struct Errors {
    pub(crate) count: usize,
    pub(crate) first: Option<String>,
}

impl Errors {
    /// Counts one more.
    pub(crate) fn add(&mut self, error: &anyhow::Error) {
        self.count += 1;
        self.first.get_or_insert_with(|| format!("{error:#}"));
    }

    /// Counts those of another as well.
    pub(crate) fn merge(&mut self, other: Self) {
        self.count += other.count;
        self.first = self.first.take().or(other.first);
    }
}

/// Latencies, sorted.
#[derive(Default)]
pub(crate) struct Latencies(Vec<Duration>);

impl From<Vec<Duration>> for Latencies {
    fn from(mut latencies: Vec<Duration>) -> Self {
        latencies.sort_unstable();
        Self(latencies)
    }
}

impl Latencies {
    /// The milliseconds that `percent` of the operations do not exceed; nothing if there were none.
    pub(crate) fn percentile_ms(&self, percent: usize) -> Option<f64> {
        // The nearest rank: the smallest latency with at least `percent` of them at or below it.
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0.get(rank - 1).map(|latency| latency.as_secs_f64() * 1000.0)
    }
}

/// Measures the watched processes from its start to its end.
pub(crate) struct Meter<'a> {
    watches: &'a [Watch],
    before: Vec<Sample>,
    start: Instant,
}

impl<'a> Meter<'a> {
    /// Begins to measure.
    pub(crate) fn start(watches: &'a [Watch]) -> Self {
        let before = watches.iter().map(Watch::sample).collect();
        Self { watches, before, start: Instant::now() }
    }

    /// The time at which it began.
    pub(crate) fn started(&self) -> Instant {
        self.start
    }

    /// The time since the start, and what the processes used in it.
    pub(crate) fn stop(&self) -> (Duration, Vec<Usage>) {
        let elapsed = self.start.elapsed();
        let pairs = self.watches.iter().zip(&self.before);
        (elapsed, pairs.map(|(watch, before)| watch.usage_since(before)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_the_nearest_rank() {
        let latencies = |count: u64| -> Latencies {
            (1..=count).rev().map(Duration::from_millis).collect::<Vec<_>>().into()
        };
        let cases = [
            (0, 50, None),
            (1, 50, Some(1.0)),
            (1, 99, Some(1.0)),
            (4, 50, Some(2.0)),
            (100, 50, Some(50.0)),
            (100, 99, Some(99.0)),
            (100, 100, Some(100.0)),
            (3, 0, Some(1.0)),
        ];
        for (count, percent, expected) in cases {
            assert_eq!(latencies(count).percentile_ms(percent), expected, "{count} {percent}");
        }
    }
}
