//! The figures of receiving: rates, the processor time of the one thread that all tasks of the node run on, memory, and how long another
//! room waits meanwhile.
#![allow(clippy::unwrap_used, reason = "a bench that cannot go on should stop")]

use std::{
    cell::Cell,
    fmt, fs,
    time::{Duration, Instant},
};

use myelin_events::received::Received;

use crate::large::{LargeRoom, runtime};

/// The pause between two messages of the other room.
const PAUSE: Duration = Duration::from_millis(5);

/// The number of messages of the other room at least.
const MESSAGES_MIN: usize = 200;

/// The cost of receiving some events.
#[derive(Clone, Copy)]
pub struct Figures {
    events_per_second: f64,
    /// The processor time of the thread that runs all tasks, for each event.
    thread_ms: f64,
    /// The most memory that the process has had meanwhile.
    peak_mb: f64,
}

impl Figures {
    /// Receive events.
    pub fn of(room: &LargeRoom, events: &[Received]) -> Self {
        reset_peak();
        let (begun, thread_ms) = (Instant::now(), thread_ms());
        runtime().block_on(room.receive(events));
        let count = events.len() as f64;
        Self {
            events_per_second: count / begun.elapsed().as_secs_f64(),
            thread_ms: (self::thread_ms() - thread_ms) / count,
            peak_mb: peak_mb(),
        }
    }

    /// The figures of the round in the middle, by rate, and the most memory of all.
    pub fn median(mut rounds: Vec<Self>) -> Self {
        rounds.sort_by(|one, other| one.events_per_second.total_cmp(&other.events_per_second));
        let peak_mb = rounds.iter().map(|round| round.peak_mb).fold(0.0, f64::max);
        Self { peak_mb, ..*rounds.get(rounds.len() / 2).unwrap() }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0} | {:.2} | {:.0}", self.events_per_second, self.thread_ms, self.peak_mb)
    }
}

/// The times that messages of our own take in another room.
pub struct Latencies(Vec<Duration>);

impl Latencies {
    /// Send messages into the room beside, while events come in or are done.
    pub fn of(room: &LargeRoom, events: &[Received]) -> Self {
        let is_done = Cell::new(false);
        let mut latencies = Vec::new();
        let receive = async {
            room.receive(events).await;
            is_done.set(true);
        };
        let send = async {
            while !is_done.get() || (events.is_empty() && latencies.len() < MESSAGES_MIN) {
                let begun = Instant::now();
                room.send_beside().await;
                latencies.push(begun.elapsed());
                tokio::time::sleep(PAUSE).await;
            }
        };
        runtime().block_on(async { tokio::join!(receive, send) });
        latencies.sort_unstable();
        Self(latencies)
    }

    fn percentile(&self, percent: usize) -> f64 {
        let at = (self.0.len() * percent / 100).min(self.0.len().saturating_sub(1));
        self.0.get(at).copied().unwrap_or_default().as_secs_f64() * 1_000.0
    }
}

impl fmt::Display for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [middle, high, most] = [50, 99, 100].map(|percent| self.percentile(percent));
        write!(f, "{middle:.2} | {high:.2} | {most:.2}")
    }
}

/// The processor time that this thread has had, in milliseconds.
fn thread_ms() -> f64 {
    let schedstat = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    let nanos: f64 = schedstat.split_whitespace().next().unwrap().parse().unwrap();
    nanos / 1e6
}

/// Begin to measure the most memory anew.
fn reset_peak() {
    fs::write("/proc/self/clear_refs", "5").unwrap();
}

fn peak_mb() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kib: f64 = peak.split_whitespace().next().unwrap().parse().unwrap();
    kib / 1024.0
}
