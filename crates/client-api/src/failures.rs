//! Failures of this server: a client hears of one, and the log has one line for each.

use myelin_testing::Complaints;
use serde_json::json;
use sqlx::PgPool;

use crate::{test_rooms::TestRoom, test_server};

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn a_failure_is_logged_once_and_says_where(pool: PgPool) {
    let server = test_server::open(pool.clone()).await;
    let alice = server.user("alice").await;
    let room = TestRoom::create(&server, &alice, json!({})).await;
    for table in ["pushers", "filters", "room_aliases", "receipts"] {
        let sql = format!("ALTER TABLE {table} RENAME TO {table}_away");
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&pool).await.unwrap();
    }
    let filter = format!("/_matrix/client/v3/user/{}/filter", alice.user_id);
    for (path, body, place) in [
        ("/_matrix/client/v3/pushers".to_owned(), None, "accounts/pushers.rs"),
        (filter, Some(json!({})), "accounts/filters.rs"),
        (room.path("aliases"), None, "rooms/aliases.rs"),
        ("/_matrix/client/v3/sync".to_owned(), None, "rooms/receipts.rs"),
    ] {
        let complaints = Complaints::start();

        let answer = match body {
            None => server.get(&path, Some(&alice)).await,
            Some(body) => server.post(&path, Some(&alice), body).await,
        };

        assert_eq!(answer.error(), (500, "M_UNKNOWN"), "{path}");
        assert!(!answer.text.contains("database"), "{}", answer.text);
        let lines = complaints.list();
        assert_eq!(lines.len(), 1, "{lines:#?}");
        assert!(lines[0].contains("request failed") && lines[0].contains(place), "{lines:#?}");
    }
}
