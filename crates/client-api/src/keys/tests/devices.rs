//! Stories of the identity keys of devices.

use myelin_testing::TestUser;
use serde_json::{Value, json};
use sqlx::PgPool;

use super::{V3, device_keys, one_time_keys, post, query, upload};
use crate::test_server;

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn the_keys_of_devices_are_seen_with_their_names(pool: PgPool) {
    let server = test_server::open(pool).await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let answer = upload(&server, &alice, json!({"device_keys": device_keys(&alice)})).await.ok();
    assert_eq!(answer, json!({"one_time_key_counts": {"signed_curve25519": 0}}));
    upload(&server, &alice, json!({"device_keys": device_keys(&alice)})).await.ok();

    let mut shown = device_keys(&alice);
    shown["unsigned"] = json!({});
    let (alice_id, device_id) = (alice.user_id.as_str(), alice.device_id.as_str());
    assert_eq!(
        query(&server, &bob, &alice).await["device_keys"],
        json!({alice_id: {device_id: shown}})
    );
    let name = json!({"display_name": "Phone"});
    server.put(&format!("{V3}/devices/{device_id}"), Some(&alice), name).await.ok();
    shown["unsigned"] = json!({"device_display_name": "Phone"});
    let wanted = json!({"device_keys": {
        alice_id: [device_id, "OTHER"],
        bob.user_id.as_str(): [],
        "@nobody:example.org": ["X"],
        "@far:elsewhere.org": [],
        "no user": [],
    }});
    let answer = post(&server, &bob, "query", wanted).await.ok();
    let expected = json!({
        "device_keys": {alice_id: {device_id: shown}, bob.user_id.as_str(): {}, "@nobody:example.org": {}},
        "failures": {"elsewhere.org": {"status": 503, "message": "Not ready for retry"}},
        "master_keys": {}, "self_signing_keys": {}, "user_signing_keys": {},
    });
    assert_eq!(answer, expected);
    let other = json!({"device_keys": {alice_id: ["OTHER"]}});
    let answer = post(&server, &bob, "query", other).await.ok();
    assert_eq!(answer["device_keys"], json!({alice_id: {}}));
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn nobody_uploads_keys_for_somebody_else(pool: PgPool) {
    let server = test_server::open(pool).await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let other = TestUser { device_id: "OTHER".into(), ..alice.clone() };
    for of in [&bob, &other] {
        let answer = upload(&server, &alice, json!({"device_keys": device_keys(of)})).await;
        assert_eq!(answer.error(), (400, "M_BAD_JSON"));
    }
    assert_eq!(
        query(&server, &bob, &alice).await["device_keys"][alice.user_id.as_str()],
        json!({})
    );
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn what_is_no_key_is_refused_and_nothing_stored(pool: PgPool) {
    let server = test_server::open(pool).await;
    let alice = server.user("alice").await;
    let good = one_time_keys(&["good"]);
    let large = json!({"key": "x".repeat(20_000), "signatures": {}});
    for (body, error) in [
        (json!({"one_time_keys": good, "fallback_keys": {"no_colon": "k"}}), (400, "M_BAD_JSON")),
        (json!({"one_time_keys": good, "device_keys": null}), (400, "M_BAD_JSON")),
        (json!({"one_time_keys": good, "fallback_keys": {"a:b": large}}), (413, "M_TOO_LARGE")),
    ] {
        assert_eq!(upload(&server, &alice, body).await.error(), error);
    }
    let bad_queries =
        [json!({}), json!({"device_keys": []}), json!({"device_keys": {"@a:b": "D"}})];
    for body in bad_queries {
        assert_eq!(post(&server, &alice, "query", body).await.error(), (400, "M_BAD_JSON"));
    }
    for (body, errcode) in [
        (json!({}), "M_MISSING_PARAM"),
        (json!({"one_time_keys": []}), "M_BAD_JSON"),
        (json!({"one_time_keys": {"@a:b": []}}), "M_BAD_JSON"),
        (json!({"one_time_keys": {"@a:b": {"D": 7}}}), "M_BAD_JSON"),
        (json!({"one_time_keys": {"@a:b": {"D\0": "x"}}}), "M_BAD_JSON"),
    ] {
        assert_eq!(post(&server, &alice, "claim", body).await.error(), (400, errcode));
    }
    let counts = upload(&server, &alice, json!({})).await.ok();
    assert_eq!(counts, json!({"one_time_key_counts": {"signed_curve25519": 0}}));
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn a_token_without_a_device_has_no_keys(pool: PgPool) {
    let server = test_server::open(pool.clone()).await;
    let alice = server.user("alice").await;
    sqlx::query("UPDATE access_tokens SET device_id = NULL").execute(&pool).await.unwrap();
    assert_eq!(upload(&server, &alice, json!({})).await.error(), (400, "M_UNKNOWN"));
    let (answer, _) = super::sync(&server, &alice, "").await;
    assert_eq!(answer["device_one_time_keys_count"], json!({}));
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn keys_go_with_their_device(pool: PgPool) {
    let server = test_server::open(pool.clone()).await;
    let bob = server.user("bob").await;
    let alice = test_server::register(&server, "alice", "secret").await;
    let keys = |user: &TestUser| {
        json!({"device_keys": device_keys(user), "one_time_keys": one_time_keys(&["a"]),
            "fallback_keys": super::fallback_key("f")})
    };
    upload(&server, &alice, keys(&alice)).await.ok();
    for end in ["logout", "logout/all"] {
        let other = test_server::log_in(&server, "alice", "secret").await;
        upload(&server, &other, keys(&other)).await.ok();
        server.post(&format!("{V3}/{end}"), Some(&other), json!({})).await.ok();
        let devices =
            query(&server, &bob, &alice).await["device_keys"][alice.user_id.as_str()].clone();
        let left: Vec<&String> = devices.as_object().unwrap().keys().collect();
        let expected: &[&str] = if end == "logout" { &[alice.device_id.as_str()] } else { &[] };
        assert_eq!(left, expected, "{end}");
        assert_eq!(super::claim(&server, &bob, &other).await, None, "{end}");
    }
    for table in ["device_keys", "one_time_keys", "fallback_keys"] {
        let sql = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        let count: i64 = sqlx::query_scalar(sql).fetch_one(&pool).await.unwrap();
        assert_eq!(count, 0, "{table}");
    }
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn stored_keys_that_cannot_be_read_are_inert(pool: PgPool) {
    let server = test_server::open(pool.clone()).await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    for user in [&alice, &bob] {
        upload(&server, user, json!({"device_keys": device_keys(user)})).await.ok();
    }
    sqlx::query("UPDATE device_keys SET keys = 'x' WHERE user_id = '@alice:example.org'")
        .execute(&pool)
        .await
        .unwrap();
    let wanted: Value =
        json!({"device_keys": {alice.user_id.as_str(): [], bob.user_id.as_str(): []}});
    let answer = post(&server, &alice, "query", wanted).await.ok();
    assert_eq!(answer["device_keys"][alice.user_id.as_str()], json!({}));
    assert_eq!(answer["device_keys"][bob.user_id.as_str()].as_object().unwrap().len(), 1);
}
