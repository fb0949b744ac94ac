//! Bringing the schema up to date, while nodes of the neighbouring versions of the program run on it.

pub(crate) mod functions;
mod indexes;
#[cfg(test)]
mod tests;
mod triggers;
mod versions;

use std::{
    sync::LazyLock,
    time::{Duration, Instant},
};

use sqlx::{
    AssertSqlSafe, Connection as _, Executor as _, PgConnection, PgPool,
    migrate::{MigrateError, Migration, Migrator},
};

use self::functions::FunctionSet;
use crate::{StorageError, error};

/// The tables, functions and triggers, embedded in the binary.
pub static MIGRATOR: LazyLock<Migrator> = LazyLock::new(|| {
    let tables = sqlx::migrate!("../../migrations");
    migrator(tables.iter().cloned(), &functions::OURS, triggers::FILES)
});

/// The number of the advisory lock under which a node migrates.
const LOCK: i64 = 0x6d79_656c_696e;

/// The time between two lines that say that the lock is waited for.
const TELL_INTERVAL: Duration = Duration::from_secs(10);

/// Pause between two tries to get that lock, or a table's.
const LOCK_MILLIS: u64 = 200;

/// The time that a change waits for the lock of a table, in milliseconds. Whatever writes to the table waits behind it.
const TABLE_LOCK_MILLIS_MAX: u32 = 1_000;

/// The number of times that a change is tried which did not get the lock of a table.
const ATTEMPTS_MAX: u32 = 100;

/// The migrations of this version. What else a database has was put there by a newer one. Whether this version may run beside it
/// all the same is the question of [`versions`].
fn migrator(
    tables: impl Iterator<Item = Migration>,
    functions: &FunctionSet,
    triggers: &[triggers::File],
) -> Migrator {
    let all = tables.chain(triggers::migrations(triggers)).chain([functions.migration()]);
    let mut migrator = Migrator::with_migrations(all.collect());
    migrator.set_ignore_missing(true);
    // There is a lock around all of it.
    migrator.set_locking(false);
    migrator
}

/// Bring the schema up to date. One node does it, the others wait.
pub(crate) async fn migrate(pool: &PgPool) -> Result<(), StorageError> {
    migrate_to(pool, &MIGRATOR, &functions::OURS).await
}

async fn migrate_to(
    pool: &PgPool,
    migrator: &Migrator,
    functions: &FunctionSet,
) -> Result<(), StorageError> {
    // Out of the pool, so that the lock goes with the connection, whatever happens.
    let mut connection = pool.acquire().await?.detach();
    // A change may take long.
    connection.execute("SET statement_timeout = 0").await?;
    // Asked for again and again: an index that is made concurrently waits for all who wait in a statement, so that a
    // node which waits for the lock in one would be waited for itself.
    lock(&mut connection).await?;
    versions::check_may_run(migrator, &mut connection).await?;
    indexes::drop_unfinished(migrator, &mut connection).await?;
    for migration in migrator.iter() {
        apply(migrator, migration, &mut connection).await?;
    }
    functions.drop_others(&mut connection).await?;
    connection.close().await?;
    Ok(())
}

/// Wait for the lock, and say now and then that it is waited for.
async fn lock(connection: &mut PgConnection) -> Result<(), StorageError> {
    let start = Instant::now();
    let mut told = None;
    while !try_lock(connection).await? {
        if told.is_none_or(|told: Instant| told.elapsed() >= TELL_INTERVAL) {
            told = Some(Instant::now());
            tracing::warn!(
                waited_s = start.elapsed().as_secs(),
                "another node brings the schema up to date (the advisory lock {LOCK} of PostgreSQL); waiting for it"
            );
        }
        tokio::time::sleep(Duration::from_millis(LOCK_MILLIS)).await;
    }
    Ok(())
}

async fn try_lock(connection: &mut PgConnection) -> Result<bool, StorageError> {
    Ok(sqlx::query_scalar!(r#"SELECT pg_try_advisory_lock($1) AS "locked!""#, LOCK)
        .fetch_one(connection)
        .await?)
}

/// Apply one change, unless it was applied before. While somebody uses a table for long, the change gives way and comes back, so that
/// others can go on writing.
async fn apply(
    migrator: &Migrator,
    migration: &Migration,
    connection: &mut PgConnection,
) -> Result<(), StorageError> {
    // An index that is made concurrently stands in nobody's way, and waits for transactions that began before it.
    let timeout = if migration.no_tx { 0 } else { TABLE_LOCK_MILLIS_MAX };
    connection.execute(AssertSqlSafe(format!("SET lock_timeout = {timeout}"))).await?;
    let mut attempt = 1;
    loop {
        match migrator.run_direct(Some(migration.version), &mut *connection, false).await {
            Err(error) if is_lock_timeout(&error) && attempt < ATTEMPTS_MAX => {
                tracing::warn!(
                    change = &*migration.description,
                    attempt,
                    "a table is in use; trying again"
                );
                attempt += 1;
                tokio::time::sleep(Duration::from_millis(LOCK_MILLIS)).await;
            }
            result => return Ok(result?),
        }
    }
}

fn is_lock_timeout(error: &MigrateError) -> bool {
    match error {
        MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _) => {
            error::is_lock_timeout(source)
        }
        _ => false,
    }
}
