//! Indexes that are made concurrently, while others write.

use sqlx::{AssertSqlSafe, Executor as _, PgConnection, migrate::Migrator};

use crate::StorageError;

/// A node that dies while it makes an index concurrently leaves one that is never used: it is to be made anew.
pub(super) async fn drop_unfinished(
    migrator: &Migrator,
    connection: &mut PgConnection,
) -> Result<(), StorageError> {
    let names: Vec<String> = made_concurrently(migrator).map(ToOwned::to_owned).collect();
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
fn made_concurrently(migrator: &Migrator) -> impl Iterator<Item = &str> {
    migrator.iter().filter(|migration| migration.no_tx).filter_map(|migration| {
        let (_, rest) = migration.sql.as_str().split_once("INDEX CONCURRENTLY IF NOT EXISTS ")?;
        rest.split_whitespace().next()
    })
}
