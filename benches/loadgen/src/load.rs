//! The closed loop: runs a step again and again, so many at once, and measures it.

use std::{
    cell::{Cell, RefCell},
    future::Future,
    time::{Duration, Instant},
};

use futures_util::future::{join, join_all};

use crate::{
    outcome::{Errors, Meter, Outcome},
    progress,
    usage::Watch,
};

/// One round on one target.
pub(crate) struct Round {
    /// Different for each round of a run.
    pub(crate) number: usize,
    pub(crate) title: String,
    pub(crate) warm_up: Duration,
    pub(crate) duration: Duration,
    pub(crate) watches: Vec<Watch>,
}

/// The outcome of one step.
pub(crate) enum Turn {
    /// One operation, which was all of the step.
    Whole,
    /// One operation, which was a part of the step and took so long.
    Part(Duration),
    /// There is nothing left to do: the round ends before its time.
    Over,
}

impl Round {
    /// Calls `step(worker, turn)` from each worker until the time is over. Turns count through all workers.
    pub(crate) async fn run<F, R>(&self, concurrency: usize, step: F) -> Outcome
    where
        F: Fn(usize, usize) -> R,
        R: Future<Output = anyhow::Result<Turn>>,
    {
        let (latencies, errors) = (RefCell::new(vec![]), RefCell::new(Errors::default()));
        let (turns, measuring) = (Cell::new(0_usize), Cell::new(false));
        let end = Cell::new(Instant::now() + self.warm_up + self.duration);

        let worker = |worker: usize| {
            let (latencies, errors, turns, measuring, end, step) =
                (&latencies, &errors, &turns, &measuring, &end, &step);
            async move {
                while Instant::now() < end.get() {
                    turns.set(turns.get() + 1);
                    let start = Instant::now();
                    let latency = match step(worker, turns.get()).await {
                        Ok(Turn::Whole) => start.elapsed(),
                        Ok(Turn::Part(latency)) => latency,
                        Ok(Turn::Over) => return end.set(Instant::now()),
                        Err(error) => {
                            errors.borrow_mut().add(&error);
                            // A server that is down shall not be hammered.
                            tokio::time::sleep(Duration::from_millis(100)).await;
                            continue;
                        }
                    };
                    if measuring.get() {
                        latencies.borrow_mut().push(latency);
                    }
                }
            }
        };
        let clock = async {
            tokio::time::sleep(self.warm_up).await;
            let meter = Meter::start(&self.watches);
            measuring.set(true);
            self.show_time(|| end.get().saturating_duration_since(Instant::now())).await;
            measuring.set(false);
            meter.stop()
        };
        let workers = join_all((0..concurrency).map(worker));
        let (_, (elapsed, usages)) = join(workers, clock).await;
        Outcome {
            latencies: latencies.into_inner().into(),
            errors: errors.into_inner(),
            elapsed,
            usages,
            ..Outcome::default()
        }
    }

    /// Waits until nothing is left of the time, and shows how it passes.
    pub(crate) async fn show_time(&self, left: impl Fn() -> Duration) {
        const STEP: Duration = Duration::from_millis(100);
        let seconds = |duration: Duration| usize::try_from(duration.as_secs()).unwrap_or_default();
        let bar = progress::bar(self.title.clone(), seconds(self.duration));
        let start = Instant::now();
        while !left().is_zero() {
            tokio::time::sleep(left().min(STEP)).await;
            bar.set_position(start.elapsed().as_secs());
        }
        bar.finish_and_clear();
    }
}
