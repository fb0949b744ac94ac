//! Nodes of neighbouring versions on one schema.

use sqlx::{
    SqlSafeStr as _,
    migrate::{Migration, MigrationType},
};

use super::{functions::FILES, *};

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

/// The next version of the program: one more table, another text of a function, and one more.
struct Newer {
    migrator: Migrator,
    functions: FunctionSet,
}

impl Newer {
    fn new(trigger: &'static str) -> Self {
        let mut files = FILES.to_vec();
        files.push(("newer", "CREATE FUNCTION newer() RETURNS integer LANGUAGE sql RETURN 1;"));
        let functions = FunctionSet::new(&files);
        let more = migration(90_000_000_000_000, "CREATE TABLE newer (id bigint)", false);
        let tables = sqlx::migrate!("../../migrations");
        let tables = tables.iter().cloned().chain([more]).collect::<Vec<_>>();
        let migrator =
            migrator(tables.into_iter(), &functions, &[("events_add_relation", trigger)]);
        Self { migrator, functions }
    }

    async fn migrate(&self, pool: &PgPool) -> Result<(), StorageError> {
        migrate_to(pool, &self.migrator, &self.functions).await
    }

    async fn call(&self, pool: &PgPool) -> Result<i32, sqlx::Error> {
        let sql = self.functions.call("newer", &[]);
        sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(pool).await
    }
}

fn migration(version: i64, sql: &'static str, no_tx: bool) -> Migration {
    Migration::new(version, "test".into(), MigrationType::Simple, sql.into_sql_str(), no_tx)
}

/// Call a function as a node of this version does.
async fn call_ours(pool: &PgPool) -> Result<(), sqlx::Error> {
    functions::call_function!(log_lock()).execute(pool).await.map(drop)
}

async fn trigger_version(pool: &PgPool) -> i32 {
    sqlx::query_scalar("SELECT version FROM triggers").fetch_one(pool).await.unwrap()
}

#[sqlx::test(migrations = false)]
async fn versions_start_in_any_order_and_call_their_own_functions(pool: PgPool) {
    let newer = Newer::new("-- version 1000\nSELECT 1");

    newer.migrate(&pool).await.unwrap();
    migrate(&pool).await.unwrap();
    call_ours(&pool).await.unwrap();
    assert_eq!(newer.call(&pool).await.unwrap(), 1);

    migrate(&pool).await.unwrap();
    newer.migrate(&pool).await.unwrap();
    call_ours(&pool).await.unwrap();
    assert_eq!(newer.call(&pool).await.unwrap(), 1);
}

#[sqlx::test(migrations = false)]
async fn the_newest_trigger_stands(pool: PgPool) {
    let newer = Newer::new("-- version 1000\nSELECT 1");
    newer.migrate(&pool).await.unwrap();
    migrate(&pool).await.unwrap();
    assert_eq!(trigger_version(&pool).await, 1000);

    Newer::new("-- version 1001\nSELECT 1").migrate(&pool).await.unwrap();
    assert_eq!(trigger_version(&pool).await, 1001);
}

#[sqlx::test(migrations = false)]
async fn functions_that_nobody_calls_go_after_long(pool: PgPool) {
    let newer = Newer::new("-- version 1000\nSELECT 1");
    newer.migrate(&pool).await.unwrap();
    let call = newer.functions.call("newer", &[]);
    let suffix = call.split_once("newer_").unwrap().1.trim_end_matches("()");
    let insert = "INSERT INTO nodes (node_id, functions, alive_until) VALUES (1, $1, now())";
    sqlx::query(insert).bind(suffix).execute(&pool).await.unwrap();
    let age = "UPDATE _sqlx_migrations SET installed_on = now() - interval '31 days'";

    sqlx::query(age).execute(&pool).await.unwrap();
    migrate(&pool).await.unwrap();
    newer.call(&pool).await.unwrap();

    sqlx::query("DELETE FROM nodes").execute(&pool).await.unwrap();
    migrate(&pool).await.unwrap();
    newer.call(&pool).await.unwrap_err();
    call_ours(&pool).await.unwrap();

    newer.migrate(&pool).await.unwrap();
    newer.call(&pool).await.unwrap();
}

#[sqlx::test(migrations = false)]
async fn a_change_waits_for_a_table_without_holding_up_who_writes(pool: PgPool) {
    migrate(&pool).await.unwrap();
    let functions = &functions::OURS;
    let change = "ALTER TABLE users ADD COLUMN newer bigint";
    let tables = sqlx::migrate!("../../migrations");
    let tables = tables.iter().cloned().chain([migration(90_000_000_000_000, change, false)]);
    let migrator = migrator(tables.collect::<Vec<_>>().into_iter(), functions, triggers::FILES);

    // A reader that takes its time.
    let mut reader = pool.begin().await.unwrap();
    sqlx::query("SELECT FROM users").execute(&mut *reader).await.unwrap();
    let migrating = {
        let pool = pool.clone();
        tokio::spawn(async move { migrate_to(&pool, &migrator, functions).await })
    };
    let insert = "INSERT INTO users (user_id, created_ts) VALUES ($1, 0)";
    for number in 0..20 {
        let insert = sqlx::query(insert).bind(number.to_string()).execute(&pool);
        tokio::time::timeout(Duration::from_secs(5), insert).await.unwrap().unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    drop(reader);
    migrating.await.unwrap().unwrap();
}

#[sqlx::test(migrations = false)]
async fn an_index_that_was_not_finished_is_made_anew(pool: PgPool) {
    let index =
        "CREATE INDEX CONCURRENTLY IF NOT EXISTS users_by_name ON users (user_id, created_ts)";
    let functions = &functions::OURS;
    let tables = sqlx::migrate!("../../migrations");
    let tables = tables.iter().cloned().chain([migration(90_000_000_000_000, index, true)]);
    let migrator = migrator(tables.collect::<Vec<_>>().into_iter(), functions, triggers::FILES);
    migrate_to(&pool, &migrator, functions).await.unwrap();
    for statement in [
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'users_by_name'::regclass",
        "DELETE FROM _sqlx_migrations WHERE version = 90000000000000",
    ] {
        sqlx::query(statement).execute(&pool).await.unwrap();
    }

    migrate_to(&pool, &migrator, functions).await.unwrap();

    let valid: bool = sqlx::query_scalar(
        "SELECT indisvalid FROM pg_index WHERE indexrelid = 'users_by_name'::regclass",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert!(valid);
}
