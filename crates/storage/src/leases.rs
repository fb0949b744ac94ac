//! Leases: what one node does for all.
//!
//! Each node writes a heartbeat, one row a second, however many leases it has. A lease holds while the heart of its node
//! beats; one that does not hold is taken by the first node that wants it. So what a dead node did goes on elsewhere within
//! five seconds. The database's clock alone decides, so that the clocks of nodes do not matter.
//!
//! A node that could not write its heartbeat in time counts its leases as lost before others may take them. Even so a lease
//! only makes it rare that two nodes do the same: a node may be stopped, for any time, between a look at its lease and what
//! it does next. What is done under a lease must stay right when it is done twice.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use sqlx::PgPool;
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::{StorageError, migrate::functions};

/// The time between two beats of a node's heart.
const BEAT_INTERVAL: Duration = Duration::from_secs(1);

/// The time for which a node counts as alive after a beat.
const ALIVE_MILLIS: u64 = 3_000;

/// The leases of this node. It is cheap to clone.
#[derive(Debug, Clone)]
pub struct Leases {
    inner: Arc<Inner>,
    /// Closed when the leases have been given back.
    ended: watch::Receiver<()>,
}

#[derive(Debug)]
struct Inner {
    pool: PgPool,
    node_id: i64,
    wanted: Mutex<HashMap<&'static str, Want>>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Want {
    granted: Arc<Notify>,
    /// While it is held: what tells the holder that it is lost.
    held: Option<CancellationToken>,
}

/// A lease that this node holds. Dropped, it is given back.
#[derive(Debug)]
pub struct Lease {
    lost: CancellationToken,
    _wanting: Wanting,
}

impl Lease {
    /// Waits until the lease is lost: stop what is done under it.
    pub async fn lost(&self) {
        self.lost.cancelled().await;
    }
}

impl Leases {
    /// Let the heart of this node beat until `stop`; then its leases are free for others.
    pub fn start(pool: PgPool, stop: CancellationToken) -> Self {
        let inner = Arc::new(Inner::new(pool));
        let (running, ended) = watch::channel(());
        let run = run(Arc::clone(&inner), stop);
        tokio::spawn(async move {
            run.await;
            drop(running);
        });
        Self { inner, ended }
    }

    /// Waits until the leases have been given back after a stop: the pool must stay open until then.
    pub async fn ended(&self) {
        let mut ended = self.ended.clone();
        // Nothing is ever sent: the error says that the sender is gone.
        while ended.changed().await.is_ok() {}
    }

    /// Wait until this node holds the lease of a name. One task of a node may want it at a time.
    pub async fn hold(&self, name: &'static str) -> Lease {
        let granted = Arc::new(Notify::new());
        let want = Want { granted: Arc::clone(&granted), held: None };
        let old = self.inner.wanted.lock().insert(name, want);
        debug_assert!(old.is_none(), "{name} is wanted twice");
        let wanting = Wanting { inner: Arc::clone(&self.inner), name };
        self.inner.changed.notify_one();
        loop {
            granted.notified().await;
            let held = self.inner.wanted.lock().get(name).and_then(|want| want.held.clone());
            if let Some(lost) = held {
                return Lease { lost, _wanting: wanting };
            }
        }
    }
}

/// Wants a lease until it is dropped.
#[derive(Debug)]
struct Wanting {
    inner: Arc<Inner>,
    name: &'static str,
}

impl Drop for Wanting {
    fn drop(&mut self) {
        self.inner.wanted.lock().remove(self.name);
        self.inner.changed.notify_one();
    }
}

async fn run(inner: Arc<Inner>, stop: CancellationToken) {
    let alive = Duration::from_millis(ALIVE_MILLIS);
    let mut alive_until = Instant::now() + alive;
    loop {
        let begun = Instant::now();
        // Others count from when the database took the beat, which is later.
        match tokio::time::timeout_at(alive_until.max(begun + BEAT_INTERVAL), inner.beat()).await {
            Ok(Ok(())) => alive_until = begun + alive,
            Ok(Err(error)) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "a heartbeat failed");
            }
            Err(_) => tracing::warn!("a heartbeat took too long"),
        }
        let (next, changed) = (begun + BEAT_INTERVAL, inner.changed.notified());
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep_until(next.min(alive_until.max(Instant::now()))) => {}
            () = changed => {}
        }
        if Instant::now() >= alive_until {
            inner.lose(|_| true);
            tokio::time::sleep_until(next).await;
        }
    }
    inner.lose(|_| true);
    if let Err(error) = inner.leave().await {
        // They are free when the heart is found to beat no more.
        tracing::warn!(error = &error as &dyn std::error::Error, "could not give leases back");
    }
}

impl Inner {
    fn new(pool: PgPool) -> Self {
        let node_id = i64::from_be_bytes(rand::random());
        Self { pool, node_id, wanted: Mutex::default(), changed: Notify::new() }
    }

    /// Beat, give back what is not wanted any more, and take what is wanted and free. It takes one statement.
    ///
    /// Leases are taken, and found held, only by a node that was alive before: the statements of two nodes do not see
    /// each other's beats, and both could take the lease of a third.
    async fn beat(&self) -> Result<(), StorageError> {
        let names: Vec<String> = self.wanted.lock().keys().map(|name| (*name).to_owned()).collect();
        let held = sqlx::query_scalar!(
            r#"
            WITH alive AS MATERIALIZED (
                SELECT node_id FROM nodes WHERE alive_until > clock_timestamp()
            ), beat AS (
                INSERT INTO nodes (node_id, functions, alive_until)
                VALUES ($1, $4, clock_timestamp() + $2::bigint * interval '1 millisecond')
                ON CONFLICT (node_id) DO UPDATE SET alive_until = EXCLUDED.alive_until
            ), given_back AS (
                DELETE FROM leases WHERE node_id = $1 AND name <> ALL ($3::text[])
            ), taken AS (
                INSERT INTO leases (name, node_id)
                SELECT w.name, $1 FROM unnest($3::text[]) AS w (name)
                WHERE $1 IN (SELECT node_id FROM alive) AND NOT EXISTS (
                    SELECT 1 FROM leases l JOIN alive USING (node_id) WHERE l.name = w.name
                )
                ON CONFLICT (name) DO UPDATE SET node_id = EXCLUDED.node_id
                    WHERE leases.node_id NOT IN (SELECT node_id FROM alive)
                RETURNING name
            )
            SELECT name AS "name!" FROM taken
            UNION
            SELECT l.name FROM leases l JOIN alive USING (node_id) WHERE l.node_id = $1 AND l.name = ANY ($3)
            "#,
            self.node_id,
            i64::try_from(ALIVE_MILLIS).unwrap_or(i64::MAX),
            &names,
            functions::suffix()
        )
        .fetch_all(&self.pool)
        .await?;
        self.lose(|name| !held.iter().any(|held| held == name));
        let mut wanted = self.wanted.lock();
        for name in &held {
            if let Some(want) = wanted.get_mut(name.as_str())
                && want.held.is_none()
            {
                want.held = Some(CancellationToken::new());
                want.granted.notify_one();
            }
        }
        Ok(())
    }

    /// Tell holders that they hold no more.
    fn lose(&self, is_lost: impl Fn(&str) -> bool) {
        for (name, want) in self.wanted.lock().iter_mut() {
            if is_lost(name)
                && let Some(lost) = want.held.take()
            {
                lost.cancel();
            }
        }
    }

    /// The node ends in order.
    async fn leave(&self) -> Result<(), StorageError> {
        sqlx::query!(
            "WITH gone AS (DELETE FROM leases WHERE node_id = $1)
             DELETE FROM nodes WHERE node_id = $1 OR alive_until < clock_timestamp() - interval '1 hour'",
            self.node_id
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "test";

    #[sqlx::test(migrator = "crate::MIGRATOR")]
    async fn one_node_holds_until_it_gives_back(pool: PgPool) {
        let (stop, other_stop) = (CancellationToken::new(), CancellationToken::new());
        let first = Leases::start(pool.clone(), stop.clone());
        let second = Leases::start(pool, other_stop);
        let lease = first.hold(NAME).await;
        let mut waiting = std::pin::pin!(second.hold(NAME));
        let some_beats = 3 * BEAT_INTERVAL;
        assert!(tokio::time::timeout(some_beats, &mut waiting).await.is_err());

        drop(lease);
        let lease = tokio::time::timeout(some_beats, waiting).await.unwrap();

        let mut waiting = std::pin::pin!(first.hold(NAME));
        assert!(tokio::time::timeout(some_beats, &mut waiting).await.is_err());
        assert!(tokio::time::timeout(Duration::ZERO, lease.lost()).await.is_err());
    }

    #[sqlx::test(migrator = "crate::MIGRATOR")]
    async fn a_node_that_stops_frees_its_leases(pool: PgPool) {
        let stop = CancellationToken::new();
        let first = Leases::start(pool.clone(), stop.clone());
        let lease = first.hold(NAME).await;
        assert_eq!(held_count(&pool).await, 1);

        stop.cancel();

        lease.lost().await;
        first.ended().await;
        assert_eq!(held_count(&pool).await, 0, "given back, before the pool is closed");
        let second = Leases::start(pool, CancellationToken::new());
        tokio::time::timeout(2 * BEAT_INTERVAL, second.hold(NAME)).await.unwrap();
    }

    async fn held_count(pool: &PgPool) -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM leases").fetch_one(pool).await.unwrap()
    }

    #[sqlx::test(migrator = "crate::MIGRATOR")]
    async fn what_a_dead_node_held_moves_within_five_seconds(pool: PgPool) {
        // Beats twice and never again.
        let dead = Inner::new(pool.clone());
        dead.wanted.lock().insert(NAME, Want::default());
        dead.beat().await.unwrap();
        dead.beat().await.unwrap();
        assert!(dead.wanted.lock()[NAME].held.is_some());
        let died = Instant::now();
        let leases = Leases::start(pool, CancellationToken::new());

        let _lease = leases.hold(NAME).await;

        let after = died.elapsed();
        assert!(after > Duration::from_millis(ALIVE_MILLIS - 500), "{after:?}");
        assert!(after < Duration::from_secs(5), "{after:?}");
        // Come back to life, it finds its lease lost.
        dead.beat().await.unwrap();
        assert!(dead.wanted.lock()[NAME].held.is_none());
    }
}
