//! Upkeep: what grows is cut back in the background, by one node for all, in small steps.

mod expired;
mod state_garbage;

use std::{sync::Arc, time::Duration};

use myelin_model::Clock;
use sqlx::PgPool;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use self::state_garbage::{Look, STATE_GARBAGE_KEPT_MS, StateGarbage};
use crate::{Db, Leases, StorageError};

/// The lease of the node that does it.
const LEASE: &str = "upkeep";

/// The time between two deletions of what has expired, and between two rounds over all rooms.
const ROUND_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// Pause between two looks at rooms.
const STEP_INTERVAL: Duration = Duration::from_millis(500);

/// The settings that say for how long things are kept.
#[derive(Debug, Clone)]
pub struct UpkeepSettings {
    /// The source of the time.
    pub clock: Arc<dyn Clock>,
    /// The time for which addresses of users are kept, in milliseconds. `None`: for ever.
    pub user_ips_max_age_ms: Option<u64>,
}

/// Start to keep the database in order, until `stop`.
pub fn start_upkeep(db: &Db, leases: Leases, settings: UpkeepSettings, stop: CancellationToken) {
    tokio::spawn(run(db.background_pool(), leases, settings, stop));
}

async fn run(pool: PgPool, leases: Leases, settings: UpkeepSettings, stop: CancellationToken) {
    loop {
        let lease = tokio::select! {
            () = stop.cancelled() => return,
            lease = leases.hold(LEASE) => lease,
        };
        tokio::select! {
            () = stop.cancelled() => return,
            // Every step is one statement or may be left undone.
            () = lease.lost() => tracing::warn!("another node does the upkeep now"),
            () = keep(&pool, &settings) => {}
        }
    }
}

async fn keep(pool: &PgPool, settings: &UpkeepSettings) {
    let mut garbage = StateGarbage::new(pool.clone());
    loop {
        let begun = Instant::now();
        let now_ms = settings.clock.now_ms();
        report(expired::delete_all(pool, now_ms, settings.user_ips_max_age_ms).await);
        loop {
            match garbage.step(settings.clock.now_ms()).await {
                Ok(true) => tokio::time::sleep(STEP_INTERVAL).await,
                Ok(false) => break,
                Err(error) => {
                    report(Err(error));
                    break;
                }
            }
        }
        tokio::time::sleep_until(begun + ROUND_INTERVAL).await;
    }
}

fn report(result: Result<(), StorageError>) {
    if let Err(error) = result {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "upkeep failed; it is tried again later"
        );
    }
}
