//! Stories of cross-signing keys.

use myelin_testing::TestUser;
use serde_json::{Value, json};
use sqlx::PgPool;

use super::{Identity, post, query, sign, signing_key};
use crate::test_server;

const PATH: &str = "device_signing/upload";

fn password(user: &TestUser, password: &str, session: &Value) -> Value {
    json!({
        "type": "m.login.password",
        "identifier": {"type": "m.id.user", "user": user.user_id},
        "password": password,
        "session": session,
    })
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn the_first_keys_need_no_proof_and_others_do(pool: PgPool) {
    let server = test_server::open(pool).await;
    let bob = server.user("bob").await;
    let alice = test_server::register(&server, "alice", "secret").await;
    let (first, second) = (Identity::new(1), Identity::new(2));
    for _ in 0..2 {
        post(&server, &alice, PATH, first.keys(&alice)).await.ok();
    }
    post(&server, &alice, PATH, json!({})).await.ok();
    let seen = query(&server, &alice, &alice).await;
    let id = alice.user_id.as_str();
    assert_eq!(seen["master_keys"][id], first.master_key(&alice));
    assert_eq!(seen["self_signing_keys"][id], first.self_signing_key(&alice));
    assert_eq!(seen["user_signing_keys"][id], first.user_signing_key(&alice));
    let seen = query(&server, &bob, &alice).await;
    assert_eq!(seen["master_keys"][id], first.master_key(&alice));
    assert_eq!(seen["user_signing_keys"], json!({}));

    let challenge = post(&server, &alice, PATH, second.keys(&alice)).await;
    assert_eq!(challenge.status, 401);
    let session = &challenge.body["session"];
    let mut body = second.keys(&alice);
    body["auth"] = password(&alice, "wrong", session);
    assert_eq!(post(&server, &alice, PATH, body.clone()).await.error(), (401, "M_FORBIDDEN"));
    assert_eq!(query(&server, &bob, &alice).await["master_keys"][id], first.master_key(&alice));
    body["auth"] = password(&alice, "secret", session);
    post(&server, &alice, PATH, body).await.ok();
    assert_eq!(query(&server, &bob, &alice).await["master_keys"][id], second.master_key(&alice));
    // A proof is for one change.
    assert_eq!(post(&server, &alice, PATH, first.keys(&alice)).await.status, 401);
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn the_proof_may_come_without_the_keys(pool: PgPool) {
    let server = test_server::open(pool).await;
    let alice = test_server::register(&server, "alice", "secret").await;
    let (first, second) = (Identity::new(1), Identity::new(2));
    post(&server, &alice, PATH, first.keys(&alice)).await.ok();
    let challenge = post(&server, &alice, PATH, second.keys(&alice)).await;
    let auth = password(&alice, "secret", &challenge.body["session"]);
    post(&server, &alice, PATH, json!({ "auth": auth })).await.ok();
    let seen = query(&server, &alice, &alice).await;
    assert_eq!(seen["master_keys"][alice.user_id.as_str()], second.master_key(&alice));
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn of_two_first_uploads_at_once_one_holds(pool: PgPool) {
    let nodes = [test_server::open(pool.clone()).await, test_server::open(pool).await];
    let alice = test_server::register(&nodes[0], "alice", "secret").await;
    let uploads = (0..10).map(|number| {
        let keys = Identity::new(u8::try_from(number).unwrap()).keys(&alice);
        let (node, alice) = (&nodes[number % 2], &alice);
        async move { post(node, alice, PATH, keys).await.status.as_u16() }
    });
    let statuses = futures_util::future::join_all(uploads).await;
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 9, "{statuses:?}");
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn keys_hang_together(pool: PgPool) {
    let server = test_server::open(pool).await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let (own, other) = (Identity::new(1), Identity::new(2));
    let master = || own.master_key(&alice);
    let with = |name: &str, key: Value| json!({"master_key": own.master_key(&alice), name: key});
    let unsigned = signing_key(&alice, "self_signing", &own.self_signing);
    let mut altered = own.user_signing_key(&alice);
    altered["usage"] = json!(["user_signing", "other"]);
    let is_master = sign(&own.master, &alice, &signing_key(&alice, "self_signing", &own.master));
    let small = Identity::new(3);
    let device = TestUser { device_id: small.master.version().into(), ..alice.clone() };
    let mut tx = server.parts.db.begin().await.unwrap();
    tx.devices().add(&alice.user_id, &device.device_id, None, 0).await.unwrap();
    tx.commit().await.unwrap();
    for (body, error) in [
        (json!({"self_signing_key": own.self_signing_key(&alice)}), (400, "M_MISSING_PARAM")),
        (json!({"master_key": own.master_key(&bob)}), (400, "M_INVALID_PARAM")),
        (json!({"master_key": own.self_signing_key(&alice)}), (400, "M_INVALID_PARAM")),
        (json!({"master_key": 7}), (400, "M_INVALID_PARAM")),
        (with("self_signing_key", unsigned), (400, "M_INVALID_SIGNATURE")),
        (with("self_signing_key", other.self_signing_key(&alice)), (400, "M_INVALID_SIGNATURE")),
        (with("user_signing_key", altered), (400, "M_INVALID_SIGNATURE")),
        (with("self_signing_key", is_master), (403, "M_FORBIDDEN")),
        (json!({"master_key": small.master_key(&alice)}), (403, "M_FORBIDDEN")),
        (json!({"master_key": {"x": "x".repeat(70_000)}}), (413, "M_TOO_LARGE")),
    ] {
        assert_eq!(post(&server, &alice, PATH, body).await.error(), error);
    }
    assert_eq!(query(&server, &alice, &alice).await["master_keys"], json!({}));
    // A master key may come first, and the others by themselves.
    post(&server, &alice, PATH, json!({"master_key": master()})).await.ok();
    let rest = json!({"self_signing_key": own.self_signing_key(&alice)});
    assert_eq!(post(&server, &alice, PATH, rest).await.status, 401, "it is a new key");
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn keys_end_with_the_account(pool: PgPool) {
    let server = test_server::open(pool).await;
    let bob = server.user("bob").await;
    let alice = test_server::register(&server, "alice", "secret").await;
    post(&server, &alice, PATH, Identity::new(1).keys(&alice)).await.ok();
    let auth = password(&alice, "secret", &Value::Null);
    let mut auth = auth;
    auth.as_object_mut().unwrap().remove("session");
    let path = "/_matrix/client/v3/account/deactivate";
    server.post(path, Some(&alice), json!({ "auth": auth })).await.ok();
    assert_eq!(query(&server, &bob, &alice).await["master_keys"], json!({}));
}
