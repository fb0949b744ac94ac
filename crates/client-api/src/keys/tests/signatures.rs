//! Stories of signatures.

use myelin_testing::{TestServer, TestUser};
use serde_json::{Value, json};
use sqlx::PgPool;

use super::{Identity, device_key, device_keys, post, query, sign, upload};
use crate::test_server;

const PATH: &str = "signatures/upload";

async fn set_up(server: &TestServer, user: &TestUser, number: u8) -> Identity {
    let identity = Identity::new(number);
    post(server, user, "device_signing/upload", identity.keys(user)).await.ok();
    upload(server, user, json!({"device_keys": device_keys(user)})).await.ok();
    identity
}

/// Upload signatures: the failures.
async fn try_sign(
    server: &TestServer,
    signer: &TestUser,
    of: &TestUser,
    id: &str,
    key: &Value,
) -> Value {
    let body = json!({of.user_id.as_str(): {id: key}});
    post(server, signer, PATH, body).await.ok()["failures"].clone()
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn a_user_signs_the_own_keys_for_all_and_those_of_others_for_oneself(pool: PgPool) {
    let server = test_server::open(pool).await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let (alices, bobs) = (set_up(&server, &alice, 1).await, set_up(&server, &bob, 2).await);
    let carol = server.user("carol").await;
    let (alice_id, bob_id) = (alice.user_id.as_str(), bob.user_id.as_str());

    let device = sign(&alices.self_signing, &alice, &device_keys(&alice));
    let master = sign(&device_key(&alice), &alice, &alices.master_key(&alice));
    let others = sign(&alices.user_signing, &alice, &bobs.master_key(&bob));
    let body = json!({
        alice_id: {alice.device_id.as_str(): device, alices.master.version(): master},
        bob_id: {bobs.master.version(): others},
    });
    for _ in 0..2 {
        assert_eq!(post(&server, &alice, PATH, body.clone()).await.ok(), json!({"failures": {}}));
    }

    for reader in [&alice, &bob, &carol] {
        let seen = query(&server, reader, &alice).await;
        let signatures = &seen["device_keys"][alice_id][alice.device_id.as_str()]["signatures"];
        assert_eq!(*signatures, device["signatures"]);
        assert_eq!(seen["master_keys"][alice_id], master);
        let seen = query(&server, reader, &bob).await;
        let signed_by_alice = &seen["master_keys"][bob_id]["signatures"][alice_id];
        let is_shown = reader.user_id == alice.user_id;
        assert_eq!(signed_by_alice.is_object(), is_shown, "{}", reader.user_id);
    }
    // What signed keys that are not there any more is not shown.
    let mut keys = device_keys(&alice);
    keys["algorithms"] = json!(["other"]);
    upload(&server, &alice, json!({ "device_keys": keys })).await.ok();
    let seen = query(&server, &bob, &alice).await;
    let shown = &seen["device_keys"][alice_id][alice.device_id.as_str()];
    assert_eq!(shown["signatures"], keys["signatures"]);
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn bad_signatures_are_told_each(pool: PgPool) {
    let server = test_server::open(pool).await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let (alices, bobs) = (set_up(&server, &alice, 1).await, set_up(&server, &bob, 2).await);
    let carol = server.user("carol").await;
    let device_id = alice.device_id.as_str();
    let own_device = device_keys(&alice);
    let altered = |mut key: Value| {
        key["algorithms"] = json!([]);
        key
    };
    let by_other = |key: &Value| {
        // The signature of one key under the ID of another.
        let mut wrong = sign(&alices.self_signing, &alice, key);
        let signatures = &mut wrong["signatures"][alice.user_id.as_str()];
        signatures[alices.self_signing.key_id()] = signatures[device_key(&alice).key_id()].clone();
        wrong
    };
    let unknown_device = {
        let key = myelin_events::SigningKey::from_seed(&[9; 32], "GONE");
        sign(&key, &alice, &alices.master_key(&alice))
    };
    let sign_own = |key: &Value| sign(&alices.self_signing, &alice, key);
    let sign_other = |key: &Value| sign(&alices.user_signing, &alice, key);
    let (own_master, bobs_master) = (alices.master.version(), bobs.master.version());
    for (of, id, key, errcode) in [
        (&alice, device_id, own_device.clone(), "M_INVALID_SIGNATURE"),
        (&alice, device_id, json!({}), "M_INVALID_SIGNATURE"),
        (&alice, device_id, by_other(&own_device), "M_INVALID_SIGNATURE"),
        (&alice, device_id, sign_own(&altered(own_device.clone())), "M_UNKNOWN"),
        (&alice, "OTHER", sign_own(&own_device), "M_NOT_FOUND"),
        (&alice, own_master, unknown_device, "M_INVALID_SIGNATURE"),
        (&alice, own_master, sign(&device_key(&alice), &alice, &own_device), "M_UNKNOWN"),
        (&bob, bobs_master, bobs.master_key(&bob), "M_INVALID_SIGNATURE"),
        (&bob, bobs_master, sign_other(&altered(bobs.master_key(&bob))), "M_UNKNOWN"),
        (&bob, bob.device_id.as_str(), sign_other(&device_keys(&bob)), "M_NOT_FOUND"),
        (&carol, "KEY", sign_other(&json!({})), "M_NOT_FOUND"),
    ] {
        let failures = try_sign(&server, &alice, of, id, &key).await;
        let failure = &failures[of.user_id.as_str()][id];
        assert_eq!(failure["errcode"], errcode, "{id} {key}: {failures}");
        assert!(failure["error"].is_string() && failure["message"].is_string());
    }
    // Without keys nothing can be signed.
    let key = bobs.master_key(&bob);
    let failures = try_sign(&server, &carol, &bob, bobs_master, &key).await;
    assert_eq!(failures[bob.user_id.as_str()][bobs_master]["status"], 404);
    // One bad signature keeps no good one back.
    let body = json!({alice.user_id.as_str(): {"OTHER": {}, device_id: sign_own(&own_device)}});
    let answer = post(&server, &alice, PATH, body).await.ok();
    assert_eq!(answer["failures"][alice.user_id.as_str()].as_object().unwrap().len(), 1);
    let seen = query(&server, &bob, &alice).await;
    let shown = &seen["device_keys"][alice.user_id.as_str()][device_id];
    assert_eq!(shown["signatures"], sign_own(&own_device)["signatures"]);

    for body in [json!({alice.user_id.as_str(): 7}), json!({alice.user_id.as_str(): {"D": 7}})] {
        assert_eq!(post(&server, &alice, PATH, body).await.error(), (400, "M_INVALID_PARAM"));
    }
    let many: serde_json::Map<String, Value> =
        (0..1_001).map(|number| (number.to_string(), json!({}))).collect();
    let answer = post(&server, &alice, PATH, json!({alice.user_id.as_str(): many})).await;
    assert_eq!(answer.error(), (413, "M_TOO_LARGE"));
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn signatures_go_with_the_keys_that_made_them(pool: PgPool) {
    let server = test_server::open(pool.clone()).await;
    let bob = server.user("bob").await;
    let alice = test_server::register(&server, "alice", "secret").await;
    let (alices, bobs) = (set_up(&server, &alice, 1).await, set_up(&server, &bob, 2).await);
    let other = test_server::log_in(&server, "alice", "secret").await;
    upload(&server, &other, json!({"device_keys": device_keys(&other)})).await.ok();
    let body = json!({
        alice.user_id.as_str(): {
            alice.device_id.as_str(): sign(&alices.self_signing, &alice, &device_keys(&alice)),
            other.device_id.as_str(): sign(&alices.self_signing, &alice, &device_keys(&other)),
            alices.master.version(): sign(&device_key(&other), &alice, &alices.master_key(&alice)),
        },
        bob.user_id.as_str(): {bobs.master.version(): sign(&alices.user_signing, &alice, &bobs.master_key(&bob))},
    });
    assert_eq!(post(&server, &alice, PATH, body).await.ok(), json!({"failures": {}}));
    let count = async || {
        let sql = "SELECT count(*) FROM key_signatures";
        sqlx::query_scalar::<_, i64>(sql).fetch_one(&pool).await.unwrap()
    };
    assert_eq!(count().await, 4);
    server.post("/_matrix/client/v3/logout", Some(&other), json!({})).await.ok();
    assert_eq!(count().await, 2, "that of the device, and that by it");
    let second = Identity::new(3);
    let path = "device_signing/upload";
    let session = post(&server, &alice, path, second.keys(&alice)).await.body["session"].clone();
    let mut body = second.keys(&alice);
    body["auth"] = json!({"type": "m.login.password", "password": "secret", "session": session,
        "identifier": {"type": "m.id.user", "user": "alice"}});
    post(&server, &alice, path, body).await.ok();
    assert_eq!(count().await, 0);
}
