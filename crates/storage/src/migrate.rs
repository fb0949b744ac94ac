//! Bringing the schema up to date, and connections that suit it.

use std::time::Duration;

use sqlx::{
    AssertSqlSafe, Connection as _, Executor as _, PgConnection, PgPool, migrate::Migrator,
    postgres::PgPoolOptions,
};

use crate::StorageError;

/// The schema's changes, embedded in the binary.
pub static MIGRATOR: Migrator = sqlx::migrate!("../../migrations");

/// Names the advisory lock of who migrates.
const LOCK: i64 = 0x6d79_656c_696e;

/// Pause between two tries to get that lock.
const LOCK_MILLIS: u64 = 200;

/// Options of pools for [`crate::Db::open`], to be completed by the caller.
///
/// Our statements are short: PostgreSQL's compiler, which the estimates for long arrays call, costs more than it ever
/// saves. It is switched off by a statement, since poolers refuse to start a connection with it.
pub fn pool_options() -> PgPoolOptions {
    PgPoolOptions::new().after_connect(|connection, _| {
        Box::pin(async move {
            connection.execute("SET jit = off").await?;
            Ok(())
        })
    })
}

/// Bring the schema up to date. One node does it, the others wait.
pub(crate) async fn migrate(pool: &PgPool) -> Result<(), StorageError> {
    // Out of the pool, so that the lock goes with the connection, whatever happens.
    let mut connection = pool.acquire().await?.detach();
    // Asked for again and again: an index that is made concurrently waits for all who wait in a statement, so that a
    // node which waits for the lock in one would be waited for itself.
    while !try_lock(&mut connection).await? {
        tokio::time::sleep(Duration::from_millis(LOCK_MILLIS)).await;
    }
    drop_unfinished_indexes(&mut connection).await?;
    MIGRATOR.run_direct(None, &mut connection, false).await?;
    connection.close().await?;
    Ok(())
}

async fn try_lock(connection: &mut PgConnection) -> Result<bool, StorageError> {
    Ok(sqlx::query_scalar!(r#"SELECT pg_try_advisory_lock($1) AS "locked!""#, LOCK)
        .fetch_one(connection)
        .await?)
}

/// A node that dies while it makes an index concurrently leaves one that is never used: it is to be made anew.
async fn drop_unfinished_indexes(connection: &mut PgConnection) -> Result<(), StorageError> {
    let names: Vec<String> = concurrent_indexes().map(ToOwned::to_owned).collect();
    let unfinished = sqlx::query_scalar!(
        r#"SELECT c.oid::regclass::text AS "name!" FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
           WHERE NOT i.indisvalid AND c.relname = ANY ($1) AND pg_table_is_visible(c.oid)"#,
        &names
    )
    .fetch_all(&mut *connection)
    .await?;
    for name in unfinished {
        tracing::warn!(index = name, "an index was not finished; making it anew");
        // The name comes from the catalog, quoted where it must be.
        connection.execute(AssertSqlSafe(format!("DROP INDEX CONCURRENTLY {name}"))).await?;
    }
    Ok(())
}

/// The indexes that migrations make concurrently.
fn concurrent_indexes() -> impl Iterator<Item = &'static str> {
    MIGRATOR.iter().filter(|migration| migration.no_tx).filter_map(|migration| {
        let (_, rest) = migration.sql.as_str().split_once("INDEX CONCURRENTLY IF NOT EXISTS ")?;
        rest.split_whitespace().next()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_index_made_concurrently_is_known() {
        let count = MIGRATOR.iter().filter(|migration| migration.no_tx).count();
        assert!(count > 0);
        assert_eq!(concurrent_indexes().count(), count);
    }

    #[sqlx::test(migrations = false)]
    async fn many_nodes_start_at_once(pool: PgPool) {
        let mut nodes = tokio::task::JoinSet::new();
        for _ in 0..4 {
            let pool = pool.clone();
            nodes.spawn(async move { migrate(&pool).await });
        }
        while let Some(migrated) = nodes.join_next().await {
            migrated.unwrap().unwrap();
        }
    }

    #[sqlx::test(migrator = "MIGRATOR")]
    async fn an_index_that_was_not_finished_is_made_anew(pool: PgPool) {
        for statement in [
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'events_room_ts'::regclass",
            "DELETE FROM _sqlx_migrations WHERE version = 20261101005100",
        ] {
            sqlx::query(statement).execute(&pool).await.unwrap();
        }

        migrate(&pool).await.unwrap();

        let valid: bool = sqlx::query_scalar(
            "SELECT indisvalid FROM pg_index WHERE indexrelid = 'events_room_ts'::regclass",
        )
        .fetch_one(&pool)
        .await
        .unwrap();
        assert!(valid);
    }

    #[sqlx::test(migrations = false)]
    async fn statements_are_not_compiled(pool: PgPool) {
        let ours = pool_options().connect_with((*pool.connect_options()).clone()).await.unwrap();
        let jit: String = sqlx::query_scalar("SHOW jit").fetch_one(&ours).await.unwrap();
        assert_eq!(jit, "off");
    }
}
