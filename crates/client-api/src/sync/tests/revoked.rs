//! Sessions that end while a request waits in them.

use std::time::{Duration, Instant};

use myelin_testing::{TestResponse, TestServer, TestUser};
use serde_json::{Value, json};
use sqlx::PgPool;

use super::Story;
use crate::test_server;

/// Have both endpoints that wait do so on one node, and do something on another meanwhile: their answers.
async fn wait_while(
    node: &TestServer,
    user: &TestUser,
    meanwhile: impl Future<Output = ()>,
) -> [TestResponse; 2] {
    let sync = node.get("/_matrix/client/v3/sync?timeout=0", Some(user)).await.ok();
    let since = sync["next_batch"].as_str().unwrap();
    let wait = async |path: String| node.get(&path, Some(user)).await;
    let started = Instant::now();
    let meanwhile = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        meanwhile.await;
    };
    let (sync, events, ()) = tokio::join!(
        wait(format!("/_matrix/client/v3/sync?since={since}&timeout=20000")),
        wait(format!("/_matrix/client/v3/events?from={since}&timeout=20000")),
        meanwhile
    );
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    [sync, events]
}

fn password(user: &TestUser) -> Value {
    let identifier = json!({"type": "m.id.user", "user": user.user_id.localpart()});
    json!({"type": "m.login.password", "password": "secret", "identifier": identifier})
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn who_is_logged_out_hears_no_more(pool: PgPool) {
    let story = Story::begin(pool.clone()).await;
    let other = test_server::open(pool).await;
    let room = story.shared().await;
    for (name, path) in [
        ("a", "logout"),
        ("b", "logout/all"),
        ("c", "account/password"),
        ("d", "account/deactivate"),
        ("e", "delete_devices"),
    ] {
        let first = test_server::register(&story.server, name, "secret").await;
        story.act(&first, &room, "join", json!({})).await;
        let user = test_server::log_in(&story.server, name, "secret").await;
        other.hear(&story.server).await;
        let auth = password(&user);
        let (by, body) = match path {
            "account/password" => (&first, json!({"new_password": "other", "auth": auth})),
            "account/deactivate" => (&first, json!({"auth": auth})),
            "delete_devices" => (&first, json!({"devices": [user.device_id], "auth": auth})),
            _ => (&user, json!({})),
        };
        let end = async {
            story.server.post(&format!("/_matrix/client/v3/{path}"), Some(by), body).await.ok();
            story.say(&story.alice, &room, "unheard").await;
        };
        for answer in wait_while(&other, &user, end).await {
            assert_eq!(answer.error(), (401, "M_UNKNOWN_TOKEN"), "{path}: {}", answer.text);
            assert!(answer.body.get("soft_logout").is_none_or(|soft| soft == false), "{path}");
        }
    }
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn other_sessions_of_the_user_go_on(pool: PgPool) {
    let story = Story::begin(pool.clone()).await;
    let other = test_server::open(pool).await;
    let room = story.shared().await;
    let user = test_server::register(&story.server, "carol", "secret").await;
    story.act(&user, &room, "join", json!({})).await;
    let second = test_server::log_in(&story.server, "carol", "secret").await;
    other.hear(&story.server).await;
    let end = async {
        story.server.post("/_matrix/client/v3/logout", Some(&second), json!({})).await.ok();
        // The change of the devices is told by itself.
        tokio::time::sleep(Duration::from_millis(300)).await;
        story.say(&story.alice, &room, "heard").await;
    };
    let [sync, events] = wait_while(&other, &user, end).await;
    assert_eq!(sync.status, 200);
    assert!(events.text.contains("heard"), "{}", events.text);
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn who_has_exchanged_the_token_is_not_logged_out(pool: PgPool) {
    let server = test_server::open(pool).await;
    let alice = test_server::register(&server, "alice", "secret").await;
    let login = json!({"type": "m.login.password", "user": "alice", "password": "secret",
        "refresh_token": true});
    let first = server.post("/_matrix/client/v3/login", None, login).await.ok();
    let text = |value: &Value, key: &str| value[key].as_str().unwrap().to_owned();
    let with = |token: String| TestUser { token, ..alice.clone() };
    let refresh = async {
        let body = json!({"refresh_token": first["refresh_token"]});
        let next = server.post("/_matrix/client/v3/refresh", None, body).await.ok();
        let next = with(text(&next, "access_token"));
        server.get("/_matrix/client/v3/account/whoami", Some(&next)).await.ok();
    };
    for answer in wait_while(&server, &with(text(&first, "access_token")), refresh).await {
        assert_eq!(answer.error(), (401, "M_UNKNOWN_TOKEN"), "{}", answer.text);
        assert_eq!(answer.body["soft_logout"], true);
    }
}
