//! Looks at what a database holds before anything is written to it.

use sqlx::PgPool;

use crate::{Db, StorageError, migrate::MIGRATOR};

/// The table in which sqlx notes the migrations that it has done.
const MIGRATIONS_TABLE: &str = "_sqlx_migrations";

/// The tables by which Synapse's databases are known.
const SYNAPSE_TABLES: [&str; 2] = ["schema_version", "applied_schema_deltas"];

/// The owner of a database, as its tables tell it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatabaseContents {
    /// Nobody owns it yet.
    Empty,
    /// Myelin owns it, of any version.
    Myelin {
        /// A user of the server that it is of, if it has one.
        user_id: Option<String>,
    },
    /// Synapse owns it.
    Synapse {
        /// The version of its schema, if that can be read.
        schema_version: Option<i32>,
    },
    /// It keeps texts in another encoding than UTF-8, and so cannot keep what people write.
    OtherEncoding {
        /// The encoding's name.
        encoding: String,
    },
    /// Another program owns it.
    Other {
        /// The names of its tables, sorted.
        tables: Vec<String>,
    },
}

impl Db {
    /// Tell whose database it is. Reads only.
    ///
    /// # Errors
    ///
    /// The database does not answer, or does not let us read its catalog.
    #[tracing::instrument(name = "db.inspect", skip_all)]
    pub async fn inspect(pool: &PgPool) -> Result<DatabaseContents, StorageError> {
        let encoding: String = sqlx::query_scalar("SHOW server_encoding").fetch_one(pool).await?;
        if encoding != "UTF8" {
            return Ok(DatabaseContents::OtherEncoding { encoding });
        }
        let tables = list_tables(pool).await?;
        let has = |name: &str| tables.iter().any(|table| table == name);
        if SYNAPSE_TABLES.iter().all(|name| has(name)) {
            // A table of ours beside it changes nothing: the data are Synapse's.
            let schema_version = sqlx::query_scalar("SELECT version FROM schema_version")
                .fetch_optional(pool)
                .await
                .unwrap_or_default();
            return Ok(DatabaseContents::Synapse { schema_version });
        }
        // A node that begins to migrate makes the table of migrations first.
        if tables.iter().all(|table| table == MIGRATIONS_TABLE) {
            return Ok(DatabaseContents::Empty);
        }
        if has(MIGRATIONS_TABLE) && is_migrated(pool).await? {
            // A node that migrates may not have made the table yet.
            let user_id = sqlx::query_scalar("SELECT user_id FROM users LIMIT 1");
            let user_id = if has("users") { user_id.fetch_optional(pool).await? } else { None };
            return Ok(DatabaseContents::Myelin { user_id });
        }
        Ok(DatabaseContents::Other { tables })
    }
}

/// The tables that statements find by their bare names, without those that belong to extensions.
async fn list_tables(pool: &PgPool) -> Result<Vec<String>, StorageError> {
    Ok(sqlx::query_scalar!(
        r#"SELECT c.relname::text AS "name!" FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
           WHERE c.relkind IN ('r', 'p') AND pg_table_is_visible(c.oid)
               AND n.nspname NOT IN ('pg_catalog', 'information_schema')
               AND NOT EXISTS (
                   SELECT 1 FROM pg_depend d
                   WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
               )
           ORDER BY 1"#
    )
    .fetch_all(pool)
    .await?)
}

/// Whether our first migration was done there.
async fn is_migrated(pool: &PgPool) -> Result<bool, StorageError> {
    let first = MIGRATOR.iter().map(|migration| migration.version).min().unwrap_or_default();
    // Not a checked macro: sqlx makes this table itself, and only when it migrates.
    Ok(sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM _sqlx_migrations WHERE version = $1)")
        .bind(first)
        .fetch_one(pool)
        .await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn run(pool: &PgPool, statements: &[&'static str]) {
        for statement in statements {
            sqlx::query(*statement).execute(pool).await.unwrap();
        }
    }

    #[sqlx::test(migrations = false)]
    async fn an_empty_database_becomes_ours(pool: PgPool) {
        assert_eq!(Db::inspect(&pool).await.unwrap(), DatabaseContents::Empty);
        Db::migrate(&pool).await.unwrap();
        let ours = DatabaseContents::Myelin { user_id: None };
        assert_eq!(Db::inspect(&pool).await.unwrap(), ours);
        run(&pool, &["INSERT INTO users (user_id, created_ts) VALUES ('@a:h.org', 1)"]).await;
        let of_a_server = DatabaseContents::Myelin { user_id: Some("@a:h.org".to_owned()) };
        assert_eq!(Db::inspect(&pool).await.unwrap(), of_a_server);
    }

    #[sqlx::test(migrations = false)]
    async fn a_database_of_synapse_is_known_and_left_alone(pool: PgPool) {
        run(
            &pool,
            &[
                "CREATE TABLE schema_version (version integer NOT NULL)",
                "INSERT INTO schema_version VALUES (94)",
                "CREATE TABLE applied_schema_deltas (version integer NOT NULL, file text NOT NULL)",
                "CREATE TABLE rooms (room_id text)",
            ],
        )
        .await;
        let before = list_tables(&pool).await.unwrap();
        let found = Db::inspect(&pool).await.unwrap();
        assert_eq!(found, DatabaseContents::Synapse { schema_version: Some(94) });
        assert_eq!(list_tables(&pool).await.unwrap(), before);
    }

    #[sqlx::test(migrations = false)]
    async fn a_database_of_another_program_is_not_ours(pool: PgPool) {
        run(
            &pool,
            &[
                "CREATE TABLE invoices (id integer)",
                "CREATE TABLE _sqlx_migrations (version bigint PRIMARY KEY)",
                "INSERT INTO _sqlx_migrations VALUES (1)",
            ],
        )
        .await;
        let tables = vec!["_sqlx_migrations".to_owned(), "invoices".to_owned()];
        assert_eq!(Db::inspect(&pool).await.unwrap(), DatabaseContents::Other { tables });
    }

    #[sqlx::test(migrations = false)]
    async fn what_cannot_keep_all_texts_is_told(pool: PgPool) {
        let name = format!("latin1_{}", std::process::id());
        let run = async |sql: String| {
            sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&pool).await.unwrap();
        };
        let locale = "ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0";
        run(format!("CREATE DATABASE \"{name}\" {locale}")).await;
        let options = pool.connect_options().as_ref().clone().database(&name);
        let other = PgPool::connect_with(options).await.unwrap();
        let found = Db::inspect(&other).await;
        other.close().await;
        run(format!("DROP DATABASE \"{name}\"")).await;
        let latin1 = DatabaseContents::OtherEncoding { encoding: "LATIN1".to_owned() };
        assert_eq!(found.unwrap(), latin1);
    }
}
