//! Plans that must not depend on what the planner believes of rooms, nor on the values that a statement is run with: after
//! some executions PostgreSQL plans once for all values.

use std::{fs, path::Path};

use serde_json::Value;
use sqlx::{AssertSqlSafe, PgConnection, PgPool};

/// Ten busy rooms: by their statistics the planner believes that every room has a tenth of the log, quiet ones, too.
const ROOMS: &str = "
    INSERT INTO events (event_nid, room_nid, pos, depth, origin_server_ts, notify_ordinal, flags, event_id, event_type,
        sender, json)
    SELECT n, 1 + n % 10, n, 1, n, 0, 8, '$' || n, 't', '@a:b', '{}'
    FROM generate_series(1, 20000) n;
    ANALYZE events;";

/// Every table that grows with the server.
const LARGE_SERVER: &str = include_str!("large_server.sql");

/// The tables that are never read whole.
const LARGE: [&str; 34] = [
    "access_tokens",
    "account_data",
    "auth_chain_links",
    "auth_chains",
    "cross_signing_keys",
    "device_keys",
    "devices",
    "event_relations",
    "events",
    "fallback_keys",
    "filters",
    "key_backup_keys",
    "key_backups",
    "key_signatures",
    "late_redactions",
    "log",
    "memberships",
    "missing_events",
    "one_time_keys",
    "outside_states",
    "profiles",
    "pushers",
    "receipts",
    "refresh_tokens",
    "retrials",
    "rooms",
    "state_keys",
    "state_snapshots",
    "threepids",
    "to_device",
    "to_device_transactions",
    "transactions",
    "user_ips",
    "users",
];

/// Statements that read a large table whole, by what they contain, and why they may.
const EXEMPT: [(&str, &str); 4] = [
    ("SELECT user_id FROM users WHERE erased", "the index has the erased alone"),
    (
        "NOT EXISTS (SELECT 1 FROM refresh_tokens old",
        "the upkeep walks over old tokens now and then",
    ),
    ("WITH RECURSIVE inboxes AS", "the first device is the first row of the index"),
    (
        "unnest($2::text[], $6::int[]) AS w (word, number)",
        "a search for users looks for words in all names",
    ),
];

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn the_newest_events_of_a_quiet_room_are_found_by_the_room(pool: PgPool) {
    sqlx::raw_sql(ROOMS).execute(&pool).await.unwrap();
    for order in ["pos", "pos DESC"] {
        let sql = format!(
            "EXPLAIN SELECT event_nid FROM events WHERE room_nid = 3 AND pos > 0 AND pos <= 30000 AND flags & 6 < 1
             ORDER BY {order} LIMIT 11"
        );
        let plan: Vec<String> =
            sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&pool).await.unwrap();
        assert!(plan.iter().any(|line| line.contains("events_room_pos")), "{plan:#?}");
    }
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn mentions_are_found_without_a_look_at_what_mentions_nobody(pool: PgPool) {
    sqlx::raw_sql(ROOMS).execute(&pool).await.unwrap();
    let (sql, parameters) =
        statements().into_iter().find(|(sql, _)| sql.contains("sender <> $5")).unwrap();
    let mut conn = pool.acquire().await.unwrap();
    for mode in ["force_generic_plan", "force_custom_plan"] {
        let set = format!("SET plan_cache_mode = {mode}");
        sqlx::raw_sql(AssertSqlSafe(set)).execute(&mut *conn).await.unwrap();
        let plan = explain(&mut conn, &sql, parameters).await;
        let is_indexed = plan.iter().any(|line| line.contains("events_room_mentions"));
        // Without values it is known that there is nothing.
        let is_empty = plan.iter().any(|line| line.contains("One-Time Filter: false"));
        assert!(is_indexed || is_empty, "{plan:#?}");
    }
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn the_log_is_read_in_its_order(pool: PgPool) {
    sqlx::raw_sql(ROOMS).execute(&pool).await.unwrap();
    let sql = "EXPLAIN SELECT event_nid FROM events WHERE pos + 0 > 19990 AND pos + 0 <= 20000";
    let plan: Vec<String> = sqlx::query_scalar(sql).fetch_all(&pool).await.unwrap();
    assert!(plan.iter().any(|line| line.contains("events_log_order")), "{plan:#?}");
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn no_statement_reads_a_large_table_whole_whatever_its_values(pool: PgPool) {
    sqlx::raw_sql(LARGE_SERVER).execute(&pool).await.unwrap();
    let mut conn = pool.acquire().await.unwrap();
    sqlx::raw_sql("SET plan_cache_mode = force_generic_plan").execute(&mut *conn).await.unwrap();
    let (mut faults, mut exempt_seen) = (Vec::new(), 0);
    for (sql, parameters) in statements() {
        let plan = explain(&mut conn, &sql, parameters).await;
        let whole = read_whole(&plan);
        if EXEMPT.iter().any(|(part, _)| sql.contains(part)) {
            exempt_seen += 1;
        } else if !whole.is_empty() {
            faults.push(format!("{whole:?}\n{sql}\n{}", plan.join("\n")));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
    assert_eq!(exempt_seen, EXEMPT.len(), "an exemption has no statement any more");
}

/// Every described statement with the number of its parameters: `.sqlx/` has all that the crate runs, and a check of its own
/// holds that.
fn statements() -> Vec<(String, usize)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.sqlx");
    let mut statements = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        let description: Value = serde_json::from_str(&text).unwrap();
        let parameters =
            description.pointer("/describe/parameters/Left").unwrap().as_array().unwrap();
        let (sql, parameters) =
            (description.get("query").unwrap().as_str().unwrap().to_owned(), parameters.len());
        let first = sql.split_whitespace().next().unwrap();
        if ["SELECT", "WITH", "INSERT", "UPDATE", "DELETE"].contains(&first) {
            statements.push((sql, parameters));
        }
    }
    assert!(statements.len() > 100);
    statements
}

/// The plan for all values: without values.
async fn explain(conn: &mut PgConnection, sql: &str, parameters: usize) -> Vec<String> {
    sqlx::raw_sql(AssertSqlSafe(format!("PREPARE explained AS {sql}")))
        .execute(&mut *conn)
        .await
        .unwrap();
    let values = vec!["NULL"; parameters].join(", ");
    let values = if parameters > 0 { format!("({values})") } else { values };
    let plan = sqlx::query_scalar(AssertSqlSafe(format!("EXPLAIN EXECUTE explained{values}")))
        .persistent(false)
        .fetch_all(&mut *conn)
        .await
        .unwrap();
    sqlx::raw_sql("DEALLOCATE explained").execute(&mut *conn).await.unwrap();
    plan
}

/// The large tables of which a plan reads every row: by a scan of the table, or of an index without a condition.
fn read_whole(plan: &[String]) -> Vec<&str> {
    let mut whole = Vec::new();
    for (at, line) in plan.iter().enumerate() {
        let Some((scan, rest)) = line.split_once(" on ") else { continue };
        let table = rest.split_whitespace().next().unwrap();
        let details = plan.iter().skip(at + 1).take_while(|line| !line.contains("->"));
        let reads_all = scan.ends_with("Seq Scan")
            || scan.contains("Index") && !scan.contains("Bitmap") && {
                !details.into_iter().any(|line| line.contains("Index Cond"))
            };
        if reads_all && LARGE.contains(&table) {
            whole.push(table);
        }
    }
    whole
}
