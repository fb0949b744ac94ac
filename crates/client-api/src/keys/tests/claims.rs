//! Stories of one-time keys and fallback keys.

use std::collections::BTreeSet;

use myelin_testing::TestUser;
use serde_json::{Value, json};
use sqlx::PgPool;

use super::{claim, fallback_key, one_time_keys, post, upload};
use crate::test_server;

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn the_oldest_key_is_given_first_and_the_fallback_key_last(pool: PgPool) {
    let server = test_server::open(pool).await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    assert_eq!(claim(&server, &bob, &alice).await, None);
    upload(&server, &alice, json!({"one_time_keys": one_time_keys(&["z"])})).await.ok();
    let keys = json!({"one_time_keys": one_time_keys(&["a"]), "fallback_keys": fallback_key("f")});
    let counts = upload(&server, &alice, keys).await.ok();
    assert_eq!(counts, json!({"one_time_key_counts": {"signed_curve25519": 2}}));

    let mut given = vec![];
    for _ in 0..4 {
        given.push(claim(&server, &bob, &alice).await.unwrap());
    }
    let expected = ["z", "a", "f", "f"].map(|id| format!("signed_curve25519:{id}"));
    assert_eq!(given, expected);
    // Of another algorithm, of a device that is not there and of another server there are none.
    let wanted = json!({"one_time_keys": {
        alice.user_id.as_str(): {"DEV": "curve25519", "OTHER": "signed_curve25519"},
        "no user": {"DEV": "signed_curve25519"},
        "@far:elsewhere.org": {"DEV": "signed_curve25519"},
    }});
    let answer = post(&server, &bob, "claim", wanted).await.ok();
    let failures = json!({"elsewhere.org": {"status": 503, "message": "Not ready for retry"}});
    assert_eq!(answer, json!({"one_time_keys": {}, "failures": failures}));
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn keys_are_given_as_they_were_uploaded(pool: PgPool) {
    let server = test_server::open(pool).await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let signed = json!({"key": "k", "signatures": {"@alice:example.org": {"ed25519:DEV": "s"}}});
    let keys = json!({"curve25519:plain": "abc", "signed_curve25519:signed": signed});
    upload(&server, &alice, json!({"one_time_keys": keys})).await.ok();
    for (algorithm, expected) in [
        ("curve25519", json!({"curve25519:plain": "abc"})),
        ("signed_curve25519", json!({"signed_curve25519:signed": signed})),
    ] {
        let wanted = json!({"one_time_keys": {alice.user_id.as_str(): {"DEV": algorithm}}});
        let answer = post(&server, &bob, "claim", wanted).await.ok();
        assert_eq!(answer["one_time_keys"][alice.user_id.as_str()]["DEV"], expected);
    }
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn the_same_key_may_be_sent_again_and_is_given_once(pool: PgPool) {
    let server = test_server::open(pool).await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let count = |answer: Value| answer["one_time_key_counts"]["signed_curve25519"].clone();
    let send = async |ids: &[&str]| {
        let body = json!({"one_time_keys": one_time_keys(ids)});
        count(upload(&server, &alice, body).await.ok())
    };
    assert_eq!(send(&["a", "b", "c"]).await, 3);
    assert_eq!(send(&["b", "c", "d"]).await, 4);
    let mut signed_anew = one_time_keys(&["a"]);
    signed_anew["signed_curve25519:a"]["signatures"] =
        json!({"@alice:example.org": {"ed25519:DEV": "new"}});
    assert_eq!(count(upload(&server, &alice, json!({"one_time_keys": signed_anew})).await.ok()), 4);
    let other = json!({"signed_curve25519:a": {"key": "other", "signatures": {}}, "signed_curve25519:e": "e"});
    let answer = upload(&server, &alice, json!({"one_time_keys": other})).await;
    assert_eq!(answer.error(), (400, "M_UNKNOWN"));
    assert!(
        answer.text.contains("One time key signed_curve25519:a already exists."),
        "{}",
        answer.text
    );

    // The client has not heard that the key was stored, and meanwhile it was claimed.
    assert_eq!(claim(&server, &bob, &alice).await.unwrap(), "signed_curve25519:a");
    assert_eq!(send(&["a", "b", "c", "d"]).await, 3);
    // One that only has the ID of a claimed key is a new one.
    let new = json!({"signed_curve25519:a": {"key": "new", "signatures": {}}});
    assert_eq!(count(upload(&server, &alice, json!({"one_time_keys": new})).await.ok()), 4);
    for id in ["b", "c", "d", "a"] {
        let given = claim(&server, &bob, &alice).await.unwrap();
        assert_eq!(given, format!("signed_curve25519:{id}"));
    }
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn a_device_has_a_bounded_number_of_keys(pool: PgPool) {
    let server = test_server::open(pool.clone()).await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let send = async |numbers: std::ops::Range<usize>| {
        let ids: Vec<String> = numbers.map(|number| format!("{number:05}")).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        upload(&server, &alice, json!({"one_time_keys": one_time_keys(&ids)})).await
    };
    send(0..1_000).await.ok();
    assert_eq!(send(1_000..1_001).await.error(), (413, "M_TOO_LARGE"));
    for _ in 0..210 {
        claim(&server, &bob, &alice).await.unwrap();
    }
    send(1_000..1_210).await.ok();
    // Of those that were claimed the newest are remembered.
    let sql = "SELECT count(*), min(key_id) FROM one_time_keys WHERE claimed";
    let claimed: (i64, String) = sqlx::query_as(sql).fetch_one(&pool).await.unwrap();
    assert_eq!(claimed, (200, "00010".to_owned()));
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn no_key_is_given_twice_however_many_ask_at_once(pool: PgPool) {
    const KEYS: usize = 60;
    const CLAIMS: usize = 100;
    let nodes = [test_server::open(pool.clone()).await, test_server::open(pool).await];
    let (alice, bob) = (nodes[0].user("alice").await, nodes[0].user("bob").await);
    let ids: Vec<String> = (0..KEYS).map(|number| format!("{number:03}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let keys = json!({"one_time_keys": one_time_keys(&ids), "fallback_keys": fallback_key("f")});
    upload(&nodes[0], &alice, keys).await.ok();

    let claims = (0..CLAIMS).map(|number| claim(&nodes[number % 2], &bob, &alice));
    let given: Vec<String> =
        futures_util::future::join_all(claims).await.into_iter().map(Option::unwrap).collect();
    let fallback = "signed_curve25519:f";
    let once: Vec<&String> = given.iter().filter(|id| *id != fallback).collect();
    let different: BTreeSet<&&String> = once.iter().collect();
    assert_eq!((once.len(), different.len()), (KEYS, KEYS));
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn claims_of_the_same_devices_in_any_order_never_wait_for_each_other(pool: PgPool) {
    let nodes = [test_server::open(pool.clone()).await, test_server::open(pool).await];
    let mut users: Vec<TestUser> = vec![];
    for number in 0..10 {
        let user = nodes[0].user(&format!("u{number}")).await;
        upload(&nodes[0], &user, json!({"fallback_keys": fallback_key("f")})).await.ok();
        users.push(user);
    }
    let wanted: serde_json::Map<String, Value> = users
        .iter()
        .map(|user| (user.user_id.to_string(), json!({"DEV": "signed_curve25519"})))
        .collect();
    let body = json!({ "one_time_keys": wanted });
    let claims = (0..20).map(|number| post(&nodes[number % 2], &users[0], "claim", body.clone()));
    for answer in futures_util::future::join_all(claims).await {
        assert_eq!(answer.ok()["one_time_keys"].as_object().unwrap().len(), users.len());
    }
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn devices_go_while_their_keys_are_claimed_and_uploaded(pool: PgPool) {
    let nodes = [test_server::open(pool.clone()).await, test_server::open(pool.clone()).await];
    let mut users: Vec<TestUser> = vec![];
    for number in 0..10 {
        users.push(nodes[0].user(&format!("u{number}")).await);
    }
    let bob = nodes[0].user("bob").await;
    let keys = |kind: &str| json!({"one_time_keys": one_time_keys(&[kind]), "fallback_keys": fallback_key(kind)});
    for user in &users {
        upload(&nodes[0], user, keys("first")).await.ok();
    }
    let wanted: serde_json::Map<String, Value> = users
        .iter()
        .map(|user| (user.user_id.to_string(), json!({"DEV": "signed_curve25519"})))
        .collect();
    let body = json!({ "one_time_keys": wanted });
    let claims = (0..10).map(|number| post(&nodes[number % 2], &bob, "claim", body.clone()));
    let uploads = users.iter().map(|user| upload(&nodes[1], user, keys("second")));
    let log_outs =
        users.iter().map(|user| nodes[0].post("/_matrix/client/v3/logout", Some(user), json!({})));
    let (claimed, uploaded, logged_out) = futures_util::future::join3(
        futures_util::future::join_all(claims),
        futures_util::future::join_all(uploads),
        futures_util::future::join_all(log_outs),
    )
    .await;
    for answer in claimed.into_iter().chain(logged_out) {
        answer.ok();
    }
    // Whose device is gone may be refused, as a stranger or when it comes to the device.
    for answer in uploaded {
        assert!(matches!(answer.status.as_u16(), 200 | 400 | 401), "{}", answer.text);
    }
    for table in ["one_time_keys", "fallback_keys"] {
        let sql = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        let count: i64 = sqlx::query_scalar(sql).fetch_one(&pool).await.unwrap();
        assert_eq!(count, 0, "{table}");
    }
}
