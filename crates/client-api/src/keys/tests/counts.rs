//! Stories of the counts of keys in `/sync`.

use serde_json::{Value, json};
use sqlx::PgPool;

use super::{claim, fallback_key, one_time_keys, sync, upload};
use crate::test_server;

fn counts(answer: &Value) -> (Value, Value) {
    let part = |name: &str| answer[name].clone();
    (part("device_one_time_keys_count"), part("device_unused_fallback_key_types"))
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn every_answer_has_the_counts_of_the_device_as_they_are(pool: PgPool) {
    let (here, there) = (test_server::open(pool.clone()).await, test_server::open(pool).await);
    let (alice, bob) = (here.user("alice").await, here.user("bob").await);
    let (answer, mut since) = sync(&there, &alice, "").await;
    assert_eq!(counts(&answer), (json!({"signed_curve25519": 0}), json!([])));

    // Each change is made through the other node.
    let expect = async |since: &mut String, one_time_keys: Value, unused: Value| {
        there.hear(&here).await;
        let (answer, next) = sync(&there, &alice, since).await;
        assert_eq!(counts(&answer), (one_time_keys, unused));
        *since = next;
    };
    let mut keys = one_time_keys(&["a", "b"]);
    keys["curve25519:c"] = json!("c");
    let keys = json!({"one_time_keys": keys, "fallback_keys": fallback_key("f")});
    upload(&here, &alice, keys).await.ok();
    let fallback = json!(["signed_curve25519"]);
    expect(&mut since, json!({"curve25519": 1, "signed_curve25519": 2}), fallback.clone()).await;
    claim(&here, &bob, &alice).await.unwrap();
    expect(&mut since, json!({"curve25519": 1, "signed_curve25519": 1}), fallback.clone()).await;
    claim(&here, &bob, &alice).await.unwrap();
    expect(&mut since, json!({"curve25519": 1, "signed_curve25519": 0}), fallback.clone()).await;
    claim(&here, &bob, &alice).await.unwrap();
    expect(&mut since, json!({"curve25519": 1, "signed_curve25519": 0}), json!([])).await;
    // The same key once more is no new one.
    upload(&here, &alice, json!({"fallback_keys": fallback_key("f")})).await.ok();
    expect(&mut since, json!({"curve25519": 1, "signed_curve25519": 0}), json!([])).await;
    upload(&here, &alice, json!({"fallback_keys": fallback_key("g")})).await.ok();
    expect(&mut since, json!({"curve25519": 1, "signed_curve25519": 0}), fallback).await;
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn a_device_that_comes_back_under_its_id_has_no_keys(pool: PgPool) {
    let server = test_server::open(pool).await;
    let alice = test_server::register(&server, "alice", "secret").await;
    upload(&server, &alice, json!({"one_time_keys": one_time_keys(&["a"])})).await.ok();
    let (answer, _) = sync(&server, &alice, "").await;
    assert_eq!(counts(&answer).0, json!({"signed_curve25519": 1}));
    server.post("/_matrix/client/v3/logout", Some(&alice), json!({})).await.ok();
    let body = json!({"type": "m.login.password", "user": "alice", "password": "secret", "device_id": alice.device_id});
    let answer = server.post("/_matrix/client/v3/login", None, body).await.ok();
    let token = answer["access_token"].as_str().unwrap().to_owned();
    let again = myelin_testing::TestUser { token, ..alice };
    let (answer, _) = sync(&server, &again, "").await;
    assert_eq!(counts(&answer).0, json!({"signed_curve25519": 0}));
}
