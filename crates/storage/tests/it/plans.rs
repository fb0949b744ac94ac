//! Plans that must not depend on what the planner believes of rooms.

use sqlx::PgPool;

/// Ten busy rooms: by their statistics the planner believes that every room has a tenth of the log, quiet ones, too.
const ROOMS: &str = "
    INSERT INTO events (event_nid, room_nid, pos, depth, origin_server_ts, notify_ordinal, flags, event_id, event_type,
        sender, json)
    SELECT n, 1 + n % 10, n, 1, n, 0, 8, '$' || n, 't', '@a:b', '{}'
    FROM generate_series(1, 20000) n;
    ANALYZE events;";

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn the_newest_events_of_a_quiet_room_are_found_by_the_room(pool: PgPool) {
    sqlx::raw_sql(ROOMS).execute(&pool).await.unwrap();
    for order in ["pos", "pos DESC"] {
        let sql = format!(
            "EXPLAIN SELECT event_nid FROM events WHERE room_nid = 3 AND pos > 0 AND pos <= 30000 AND flags & 6 < 1
             ORDER BY {order} LIMIT 11"
        );
        let plan: Vec<String> =
            sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_all(&pool).await.unwrap();
        assert!(plan.iter().any(|line| line.contains("events_room_pos")), "{plan:#?}");
    }
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn the_log_is_read_in_its_order(pool: PgPool) {
    sqlx::raw_sql(ROOMS).execute(&pool).await.unwrap();
    let sql = "EXPLAIN SELECT event_nid FROM events WHERE pos + 0 > 19990 AND pos + 0 <= 20000";
    let plan: Vec<String> = sqlx::query_scalar(sql).fetch_all(&pool).await.unwrap();
    assert!(plan.iter().any(|line| line.contains("events_log_order")), "{plan:#?}");
}
