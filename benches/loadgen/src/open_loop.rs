//! The open loop: things happen when their time has come, whether or not earlier ones are done.

use std::time::{Duration, Instant};

/// Calls `fire` with the time it was due, `rate` times a second, until `end`. A timer that wakes late makes up for it.
pub(crate) async fn at_fixed_rate(rate: f64, end: Instant, mut fire: impl FnMut(Instant)) {
    if rate <= 0.0 {
        return;
    }
    let mut due = Instant::now();
    let gap = Duration::from_secs_f64(1.0 / rate);
    while due < end {
        tokio::time::sleep_until(due.into()).await;
        fire(due);
        due += gap;
    }
}

/// Calls `fire` by chance, as many people do things: `rate` is the mean number of calls a second.
pub(crate) async fn by_chance(rate: f64, end: Instant, mut fire: impl FnMut(Instant)) {
    if rate <= 0.0 {
        return;
    }
    let mut due = Instant::now();
    loop {
        let chance: f64 = rand::random_range(f64::EPSILON..1.0);
        due += Duration::from_secs_f64(-chance.ln() / rate);
        if due >= end {
            return;
        }
        tokio::time::sleep_until(due.into()).await;
        fire(due);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_rates_are_kept() {
        let span = Duration::from_millis(300);
        let mut count = 0;
        at_fixed_rate(100.0, Instant::now() + span, |_| count += 1).await;
        assert!((28..=32).contains(&count), "{count}");
        let mut count = 0;
        by_chance(1000.0, Instant::now() + span, |_| count += 1).await;
        assert!((150..=450).contains(&count), "{count}");
    }
}
