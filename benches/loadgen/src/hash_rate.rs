//! `hash-rate`: how many passwords this machine can hash with the parameters that Myelin uses, if it does nothing else.

use std::time::{Duration, Instant};

use anyhow::bail;
use argon2::{
    Argon2,
    password_hash::{PasswordHasher as _, phc::PasswordHash},
};
use serde_json::json;

/// The arguments of `hash-rate`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Threads; by default one for each processor.
    #[arg(long)]
    threads: Option<usize>,
    /// The time for which to measure.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// The number of the round, for the result.
    #[arg(long, default_value_t = 1)]
    round: usize,
}

/// Measures, and prints one JSON line in the form of a round's.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let threads = match arguments.threads {
        Some(threads) => threads,
        None => std::thread::available_parallelism()?.get(),
    };
    let start = Instant::now();
    let end = start + Duration::from_secs_f64(arguments.seconds);
    let counts = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(move || hash_until(end))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_default()).collect::<Vec<_>>()
    });
    let (hashes, seconds) = (counts.iter().sum::<usize>(), start.elapsed().as_secs_f64());
    if hashes == 0 {
        bail!("no password could be hashed");
    }
    let line = json!({
        "kind": "round", "scenario": "hash-rate", "target": "reference", "round": arguments.round,
        "operations": hashes, "errors": 0, "seconds": seconds, "threads": threads,
        "per_second": hashes as f64 / seconds,
    });
    println!("{line}");
    Ok(())
}

fn hash_until(end: Instant) -> usize {
    let mut count = 0;
    while Instant::now() < end {
        let hash: Result<PasswordHash, _> = Argon2::default().hash_password(b"a usual password");
        count += usize::from(hash.is_ok());
    }
    count
}
