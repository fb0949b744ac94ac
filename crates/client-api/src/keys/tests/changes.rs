//! Stories of whom changes of keys are told to.

use myelin_testing::{TestServer, TestUser};
use serde_json::{Value, json};
use sqlx::PgPool;

use super::{Identity, V3, device_keys, one_time_keys, post, share_room, sign, sync, upload};
use crate::{test_rooms::encode, test_server};

/// The users in a list, in order.
fn users(lists: &Value, name: &str) -> Vec<String> {
    let list = lists[name].as_array().cloned().unwrap_or_default();
    list.iter().map(|user_id| user_id.as_str().unwrap().to_owned()).collect()
}

/// The users whose keys a user hears to have changed since a token; the token moves on.
async fn heard(server: &TestServer, user: &TestUser, since: &mut String) -> Vec<String> {
    let (answer, next) = sync(server, user, since).await;
    *since = next;
    users(&answer["device_lists"], "changed")
}

async fn key_changes(server: &TestServer, user: &TestUser, from: &str, to: &str) -> Value {
    let path = format!("{V3}/keys/changes?from={}&to={}", encode(from), encode(to));
    server.get(&path, Some(user)).await.ok()
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn new_keys_are_told_to_those_who_share_a_room(pool: PgPool) {
    let server = test_server::open(pool).await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let carol = server.user("carol").await;
    share_room(&server, &alice, &bob).await;
    let mut since = vec![];
    for user in [&alice, &bob, &carol] {
        since.push(sync(&server, user, "").await.1);
    }
    let start = since.clone();
    let alices = Identity::new(1);
    let keys = json!({"device_keys": device_keys(&alice), "one_time_keys": one_time_keys(&["a"])});
    let signed = sign(&alices.self_signing, &alice, &device_keys(&alice));
    let signatures = json!({alice.user_id.as_str(): {alice.device_id.as_str(): signed}});
    let own = json!({"master_key": alices.master_key(&alice), "self_signing_key": alices.self_signing_key(&alice)});
    for (path, body) in
        [("upload", keys.clone()), ("device_signing/upload", own), (PATH, signatures)]
    {
        // Once more is no change.
        for told in [true, false] {
            post(&server, &alice, path, body.clone()).await.ok();
            let expected = if told { vec![alice.user_id.to_string()] } else { vec![] };
            assert_eq!(heard(&server, &alice, &mut since[0]).await, expected, "{path}");
            assert_eq!(heard(&server, &bob, &mut since[1]).await, expected, "{path}");
            assert_eq!(heard(&server, &carol, &mut since[2]).await, Vec::<String>::new(), "{path}");
        }
    }
    // Keys to be claimed are no change of the device.
    upload(&server, &alice, json!({"one_time_keys": one_time_keys(&["b"])})).await.ok();
    assert_eq!(heard(&server, &bob, &mut since[1]).await, Vec::<String>::new());

    let changed = json!({"changed": [alice.user_id], "left": []});
    assert_eq!(key_changes(&server, &bob, &start[1], &since[1]).await, changed);
    assert_eq!(key_changes(&server, &alice, &start[0], &since[0]).await, changed);
    let nothing = json!({"changed": [], "left": []});
    assert_eq!(key_changes(&server, &carol, &start[2], &since[2]).await, nothing);
    assert_eq!(key_changes(&server, &bob, &since[1], &since[1]).await, nothing);
}

const PATH: &str = "signatures/upload";

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn signatures_of_others_are_told_to_who_made_them_alone(pool: PgPool) {
    let server = test_server::open(pool.clone()).await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    share_room(&server, &alice, &bob).await;
    let (alices, bobs) = (Identity::new(1), Identity::new(2));
    for (user, identity) in [(&alice, &alices), (&bob, &bobs)] {
        post(&server, user, "device_signing/upload", identity.keys(user)).await.ok();
    }
    let mut since = [sync(&server, &alice, "").await.1, sync(&server, &bob, "").await.1];
    let start = since.clone();
    let signed = sign(&alices.user_signing, &alice, &bobs.master_key(&bob));
    let body = json!({bob.user_id.as_str(): {bobs.master.version(): signed}});
    let wait = format!("{V3}/sync?set_presence=offline&timeout=10000&since={}", since[0]);
    let (waited, ()) = tokio::join!(server.get(&wait, Some(&alice)), async {
        tokio::task::yield_now().await;
        assert_eq!(post(&server, &alice, PATH, body).await.ok(), json!({"failures": {}}));
    });
    assert_eq!(users(&waited.ok()["device_lists"], "changed"), [bob.user_id.as_str()]);
    assert_eq!(heard(&server, &alice, &mut since[0]).await, [bob.user_id.as_str()]);
    assert_eq!(heard(&server, &bob, &mut since[1]).await, Vec::<String>::new());
    // A node that has just started, and reads the log for it.
    let other = test_server::open(pool).await;
    let changes = key_changes(&other, &alice, &start[0], &since[0]).await;
    assert_eq!(changes, json!({"changed": [bob.user_id], "left": []}));
    assert_eq!(
        users(&sync(&other, &alice, &start[0]).await.0["device_lists"], "changed"),
        [bob.user_id.as_str()]
    );
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn who_begins_and_ends_to_share_a_room_is_told(pool: PgPool) {
    let server = test_server::open(pool.clone()).await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let (_, start) = sync(&server, &alice, "").await;
    let room = share_room(&server, &alice, &bob).await;
    let (_, shared) = sync(&server, &alice, &start).await;
    let changes = key_changes(&server, &alice, &start, &shared).await;
    assert!(users(&changes, "changed").contains(&bob.user_id.to_string()), "{changes}");
    server.post(&format!("{V3}/rooms/{}/leave", encode(&room)), Some(&bob), json!({})).await.ok();
    let (_, end) = sync(&server, &alice, &shared).await;
    let expected = json!({"changed": [], "left": [bob.user_id]});
    assert_eq!(key_changes(&server, &alice, &shared, &end).await, expected);
    let other = test_server::open(pool).await;
    assert_eq!(key_changes(&other, &alice, &shared, &end).await, expected);
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn changes_are_asked_for_by_tokens(pool: PgPool) {
    let server = test_server::open(pool).await;
    let alice = server.user("alice").await;
    let (_, since) = sync(&server, &alice, "").await;
    let get =
        async |query: &str| server.get(&format!("{V3}/keys/changes{query}"), Some(&alice)).await;
    get(&format!("?from={since}")).await.ok();
    assert_eq!(get("").await.error(), (400, "M_MISSING_PARAM"));
    assert_eq!(get("?from=x").await.error(), (400, "M_INVALID_PARAM"));
    assert_eq!(get(&format!("?from={since}&to=x")).await.error(), (400, "M_INVALID_PARAM"));
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn who_asks_for_changes_keeps_the_messages_for_the_device(pool: PgPool) {
    let server = test_server::open(pool).await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let (_, start) = sync(&server, &alice, "").await;
    let messages = json!({"messages": {alice.user_id.as_str(): {"DEV": {"a": 1}}}});
    server.put(&format!("{V3}/sendToDevice/m.dummy/t1"), Some(&bob), messages).await.ok();
    let (_, told) = sync(&server, &alice, &start).await;
    key_changes(&server, &alice, &told, &told).await;
    // The client has lost the answer.
    let (again, _) = sync(&server, &alice, &start).await;
    assert_eq!(again["to_device"]["events"].as_array().unwrap().len(), 1);
}
