//! Stories of backups.

use myelin_testing::{TestServer, TestUser};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::test_server;

const KEYS: &str = "/_matrix/client/v3/room_keys/keys";
const VERSION: &str = "/_matrix/client/v3/room_keys/version";

fn key(is_verified: bool, first_message_index: u64, forwarded_count: u64) -> Value {
    json!({
        "first_message_index": first_message_index,
        "forwarded_count": forwarded_count,
        "is_verified": is_verified,
        "session_data": {"ciphertext": format!("{is_verified} {first_message_index} {forwarded_count}")},
    })
}

async fn begin(server: &TestServer, user: &TestUser) -> String {
    let body = json!({"algorithm": "m.megolm_backup.v1", "auth_data": {"public_key": "abc"}});
    let answer = server.post(VERSION, Some(user), body).await.ok();
    answer["version"].as_str().unwrap().to_owned()
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn keys_are_kept_until_they_are_deleted(pool: PgPool) {
    let server = test_server::open(pool).await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    assert_eq!(server.get(VERSION, Some(&alice)).await.error(), (404, "M_NOT_FOUND"));
    let version = begin(&server, &alice).await;
    let path = |rest: &str| format!("{KEYS}{rest}?version={version}");
    let get = async |rest: &str| server.get(&path(rest), Some(&alice)).await;

    assert_eq!(get("").await.ok(), json!({"rooms": {}}));
    assert_eq!(get("/!a:x").await.ok(), json!({"sessions": {}}));
    let rooms = json!({"rooms": {
        "!a:x": {"sessions": {"s1": key(true, 0, 0), "s2": key(false, 3, 1)}},
        "!b:x": {"sessions": {"s1": key(false, 0, 0)}},
    }});
    let answer = server.put(&path(""), Some(&alice), rooms.clone()).await.ok();
    assert_eq!(answer, json!({"etag": "1", "count": 3}));
    let session = server.put(&path("/!c:x/s"), Some(&alice), key(true, 1, 1)).await.ok();
    assert_eq!(session, json!({"etag": "2", "count": 4}));
    // What is there already changes nothing.
    let again = server.put(&path(""), Some(&alice), rooms.clone()).await.ok();
    assert_eq!(again, json!({"etag": "2", "count": 4}));

    let mut all = rooms.clone();
    all["rooms"]["!c:x"] = json!({"sessions": {"s": key(true, 1, 1)}});
    assert_eq!(get("").await.ok(), all);
    assert_eq!(get("/!a:x").await.ok(), rooms["rooms"]["!a:x"]);
    assert_eq!(get("/!a:x/s2").await.ok(), key(false, 3, 1));
    assert_eq!(get("/!a:x/s3").await.error(), (404, "M_NOT_FOUND"));
    let info = server.get(VERSION, Some(&alice)).await.ok();
    let expected = json!({"version": version, "algorithm": "m.megolm_backup.v1", "auth_data": {"public_key": "abc"},
        "etag": "2", "count": 4});
    assert_eq!(info, expected);
    assert_eq!(server.get(&path(""), Some(&bob)).await.error(), (404, "M_NOT_FOUND"));

    let delete = async |rest: &str| server.delete(&path(rest), Some(&alice)).await.ok();
    assert_eq!(delete("/!a:x/s1").await, json!({"etag": "3", "count": 3}));
    assert_eq!(delete("/!a:x").await, json!({"etag": "4", "count": 2}));
    assert_eq!(delete("/!a:x").await, json!({"etag": "4", "count": 2}));
    assert_eq!(delete("").await, json!({"etag": "5", "count": 0}));
    assert_eq!(get("").await.ok(), json!({"rooms": {}}));
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn the_better_key_of_a_session_stays(pool: PgPool) {
    let server = test_server::open(pool).await;
    let alice = server.user("alice").await;
    let version = begin(&server, &alice).await;
    let path = format!("{KEYS}/!a:x/s?version={version}");
    // Each is worse than the next one.
    let by_worth = [
        key(false, 5, 2),
        key(false, 5, 1),
        key(false, 4, 9),
        key(true, 9, 9),
        key(true, 9, 8),
        key(true, 3, 8),
    ];
    for (number, better) in by_worth.iter().enumerate() {
        server.put(&path, Some(&alice), better.clone()).await.ok();
        for worse in &by_worth[..number] {
            server.put(&path, Some(&alice), worse.clone()).await.ok();
        }
        assert_eq!(server.get(&path, Some(&alice)).await.ok(), *better);
    }
    let info = server.get(VERSION, Some(&alice)).await.ok();
    assert_eq!((&info["etag"], &info["count"]), (&json!("6"), &json!(1)));
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn only_the_newest_backup_takes_keys(pool: PgPool) {
    let server = test_server::open(pool).await;
    let alice = server.user("alice").await;
    let (old, new) = (begin(&server, &alice).await, begin(&server, &alice).await);
    let path = |version: &str| format!("{KEYS}/!a:x/s?version={version}");
    let put = async |version: &str| server.put(&path(version), Some(&alice), key(true, 0, 0)).await;

    let refused = put(&old).await;
    assert_eq!(refused.error(), (403, "M_WRONG_ROOM_KEYS_VERSION"));
    assert_eq!(refused.body["current_version"], *new);
    assert_eq!(put("77").await.error(), (404, "M_NOT_FOUND"));
    assert_eq!(put("x").await.error(), (404, "M_NOT_FOUND"));
    put(&new).await.ok();
    let version = |version: &str| format!("{VERSION}/{version}");
    server.delete(&version(&new), Some(&alice)).await.ok();
    // A version that is gone is not given again, and may be deleted again.
    server.delete(&version(&new), Some(&alice)).await.ok();
    assert_eq!(server.delete(&version("77"), Some(&alice)).await.error(), (404, "M_NOT_FOUND"));
    assert_eq!(server.get(&version(&new), Some(&alice)).await.error(), (404, "M_NOT_FOUND"));
    assert_eq!(server.get(&path(&new), Some(&alice)).await.error(), (404, "M_NOT_FOUND"));
    assert_eq!(server.get(VERSION, Some(&alice)).await.ok()["version"], *old);
    put(&old).await.ok();
    assert_eq!(begin(&server, &alice).await, "3");
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn the_data_of_the_algorithm_can_be_changed_alone(pool: PgPool) {
    let server = test_server::open(pool).await;
    let alice = server.user("alice").await;
    let version = begin(&server, &alice).await;
    let put = async |version: &str, body| {
        server.put(&format!("{VERSION}/{version}"), Some(&alice), body).await
    };
    let body =
        |algorithm: &str| json!({"algorithm": algorithm, "auth_data": {"public_key": "new"}});
    let mut named = body("m.megolm_backup.v1");

    put(&version, named.clone()).await.ok();
    let info = server.get(VERSION, Some(&alice)).await.ok();
    assert_eq!(info["auth_data"], json!({"public_key": "new"}));
    assert_eq!(put(&version, body("other")).await.error(), (400, "M_INVALID_PARAM"));
    assert_eq!(put("9", body("m.megolm_backup.v1")).await.error(), (404, "M_NOT_FOUND"));
    named["version"] = json!("9");
    assert_eq!(put(&version, named).await.error(), (400, "M_INVALID_PARAM"));
    let nothing = put(&version, json!({"algorithm": "m.megolm_backup.v1"})).await;
    assert_eq!(nothing.error(), (400, "M_MISSING_PARAM"));
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn a_request_with_a_bad_key_changes_nothing(pool: PgPool) {
    let server = test_server::open(pool).await;
    let alice = server.user("alice").await;
    let version = begin(&server, &alice).await;
    let path = format!("{KEYS}?version={version}");
    let mut bad = key(true, 0, 0);
    bad["is_verified"] = json!("yes");
    let body = json!({"rooms": {"!a:x": {"sessions": {"s1": key(true, 0, 0), "s2": bad}}}});
    assert_eq!(server.put(&path, Some(&alice), body).await.error(), (400, "M_INVALID_PARAM"));
    assert_eq!(server.put(&path, Some(&alice), json!({})).await.error(), (400, "M_MISSING_PARAM"));
    let without = server.put(KEYS, Some(&alice), json!({"rooms": {}})).await;
    assert_eq!(without.error(), (400, "M_MISSING_PARAM"));
    assert_eq!(server.get(&path, Some(&alice)).await.ok(), json!({"rooms": {}}));
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn a_large_backup_is_read_whole(pool: PgPool) {
    let server = test_server::open(pool).await;
    let alice = server.user("alice").await;
    let version = begin(&server, &alice).await;
    let path = format!("{KEYS}?version={version}");
    let room = |count: u64| {
        let sessions = (0..count).map(|n| (format!("s{n:04}"), key(true, n, 0)));
        json!({"sessions": sessions.collect::<serde_json::Map<_, _>>()})
    };
    // The second room begins on the second page and ends on the third, with which the pages are full.
    let all = json!({"rooms": {"!a:x": room(1_000), "!b:x": room(1_500), "!c:x": room(500)}});
    server.put(&path, Some(&alice), all.clone()).await.ok();

    assert!(server.get(&path, Some(&alice)).await.ok() == all);
    let one = format!("{KEYS}/!b:x?version={version}");
    assert!(server.get(&one, Some(&alice)).await.ok() == all["rooms"]["!b:x"]);
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn two_devices_add_keys_at_once(pool: PgPool) {
    let server = test_server::open(pool).await;
    let alice = server.user("alice").await;
    let version = begin(&server, &alice).await;
    let add = |number: u64| {
        let path = format!("{KEYS}/!a:x/s{}?version={version}", number % 8);
        let (server, alice) = (&server, &alice);
        async move { server.put(&path, Some(alice), key(true, number, 0)).await.ok() }
    };
    futures_util::future::join_all((0..16).map(add)).await;
    let info = server.get(VERSION, Some(&alice)).await.ok();
    assert_eq!(info["count"], 8);
    let begun = futures_util::future::join_all((0..4).map(|_| begin(&server, &alice))).await;
    let mut begun: Vec<_> = begun.iter().map(String::as_str).collect();
    begun.sort_unstable();
    assert_eq!(begun, ["2", "3", "4", "5"]);
}
