//! Runs a step again and again, many at once, and measures it.

use std::{
    cell::{Cell, RefCell},
    future::Future,
    time::{Duration, Instant},
};

use anyhow::bail;
use futures_util::future::join_all;

use crate::{
    fixture::progress_bar,
    usage::{Sample, Usage, Watch},
};

/// How hard, and how long.
pub(crate) struct Load {
    pub(crate) concurrency: usize,
    pub(crate) duration: Duration,
    pub(crate) warm_up: Duration,
    pub(crate) watches: Vec<Watch>,
}

/// What was measured.
pub(crate) struct Outcome {
    /// One for each operation that succeeded, sorted.
    pub(crate) latencies: Vec<Duration>,
    pub(crate) errors: usize,
    pub(crate) elapsed: Duration,
    pub(crate) usages: Vec<Usage>,
}

impl Load {
    /// Calls `step(worker, turn)` from each worker until the time is over. A step may measure itself by giving a
    /// duration; otherwise the whole of it counts.
    pub(crate) async fn run<F, R>(&self, step: F) -> anyhow::Result<Outcome>
    where
        F: Fn(usize, usize) -> R,
        R: Future<Output = anyhow::Result<Option<Duration>>>,
    {
        let latencies = RefCell::new(vec![]);
        let errors = Cell::new(0_usize);
        let turns = Cell::new(0_usize);
        let bar =
            progress_bar("seconds", usize::try_from(self.duration.as_secs()).unwrap_or_default());
        let measuring = Cell::new(false);
        let end = Instant::now() + self.warm_up + self.duration;

        let worker = |worker: usize| {
            let (latencies, errors, turns, measuring, step) =
                (&latencies, &errors, &turns, &measuring, &step);
            async move {
                while Instant::now() < end {
                    turns.set(turns.get() + 1);
                    let start = Instant::now();
                    match step(worker, turns.get()).await {
                        Ok(own) if measuring.get() => {
                            latencies.borrow_mut().push(own.unwrap_or_else(|| start.elapsed()))
                        }
                        Ok(_) => {}
                        Err(error) => {
                            if errors.get() == 0 {
                                eprintln!("first error: {error:#}");
                            }
                            errors.set(errors.get() + 1);
                            // A server that is down shall not be hammered.
                            tokio::time::sleep(Duration::from_millis(100)).await;
                        }
                    }
                }
            }
        };
        let clock = async {
            tokio::time::sleep(self.warm_up).await;
            let before: Vec<Sample> = self.watches.iter().map(Watch::sample).collect();
            let start = Instant::now();
            errors.set(0);
            measuring.set(true);
            while Instant::now() < end {
                tokio::time::sleep(
                    Duration::from_millis(250).min(end.saturating_duration_since(Instant::now())),
                )
                .await;
                bar.set_position(start.elapsed().as_secs());
            }
            measuring.set(false);
            let elapsed = start.elapsed();
            let usages: Vec<Usage> = self
                .watches
                .iter()
                .zip(before)
                .map(|(watch, before)| watch.usage_since(&before))
                .collect();
            (elapsed, usages)
        };
        let (_, (elapsed, usages)) =
            futures_util::future::join(join_all((0..self.concurrency.max(1)).map(worker)), clock)
                .await;
        bar.finish_and_clear();
        let mut latencies = latencies.into_inner();
        latencies.sort_unstable();
        if latencies.is_empty() {
            bail!("nothing succeeded in {elapsed:?} ({} errors)", errors.get());
        }
        Ok(Outcome { latencies, errors: errors.get(), elapsed, usages })
    }
}

impl Outcome {
    /// The latency that `percent` of the operations do not exceed.
    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        let index =
            (self.latencies.len() * percent / 100).min(self.latencies.len().saturating_sub(1));
        self.latencies.get(index).copied().unwrap_or_default()
    }
}
