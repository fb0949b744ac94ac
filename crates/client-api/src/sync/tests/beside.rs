//! The parts of answers beside the events of rooms: typing, receipts, account data, presence, ignored users.

use serde_json::{Value, json};
use sqlx::PgPool;

use super::{Story, joined, said, token};

fn ephemeral(answer: &Value, room: &str, event_type: &str) -> Value {
    let events = joined(answer, room)["ephemeral"]["events"].as_array().cloned();
    let mut events = events.unwrap_or_default().into_iter();
    events.find(|event| event["type"] == event_type).map_or(Value::Null, |e| e["content"].clone())
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn typing_comes_and_goes(pool: PgPool) {
    let story = Story::begin(pool).await;
    let (alice, bob) = (&story.alice, &story.bob);
    let room = story.shared().await;
    let since = story.now(bob).await;
    let path = format!("/_matrix/client/v3/rooms/{room}/typing/{}", alice.user_id);
    let type_it = async |typing: bool| {
        story
            .server
            .put(&path, Some(alice), json!({"typing": typing, "timeout": 30000}))
            .await
            .ok();
    };
    let query = [("since", &*since), ("timeout", "10000")];
    let (answer, ()) = tokio::join!(story.sync(bob, &query), type_it(true));
    assert_eq!(ephemeral(&answer, &room, "m.typing"), json!({"user_ids": [alice.user_id]}));
    assert_eq!(said(&joined(&answer, &room)["timeline"]), Vec::<String>::new());
    let since = token(&answer);
    let quiet = story.sync(bob, &[("since", &since)]).await;
    assert_eq!(ephemeral(&quiet, &room, "m.typing"), json!(null), "{quiet}");
    type_it(false).await;
    let answer = story.sync(bob, &[("since", &since)]).await;
    assert_eq!(ephemeral(&answer, &room, "m.typing"), json!({"user_ids": []}));
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn receipts_are_seen_but_for_private_ones(pool: PgPool) {
    let story = Story::begin(pool).await;
    let (alice, bob) = (&story.alice, &story.bob);
    let room = story.shared().await;
    let first = story.say(alice, &room, "one").await;
    let second = story.say(alice, &room, "two").await;
    let (a, b) = (story.now(alice).await, story.now(bob).await);
    let read = async |kind: &str, event_id: &str| {
        let path = format!("/_matrix/client/v3/rooms/{room}/receipt/{kind}/{event_id}");
        story.server.post(&path, Some(bob), json!({})).await.ok();
    };
    read("m.read", &first).await;
    read("m.read.private", &second).await;
    let answer = story.sync(alice, &[("since", &a)]).await;
    let receipts = ephemeral(&answer, &room, "m.receipt");
    assert!(receipts[&first]["m.read"][bob.user_id.as_str()]["ts"].is_u64(), "{receipts}");
    assert_eq!(receipts[&second], json!(null));
    let answer = story.sync(bob, &[("since", &b)]).await;
    let receipts = ephemeral(&answer, &room, "m.receipt");
    assert!(receipts[&second]["m.read.private"][bob.user_id.as_str()]["ts"].is_u64());
    assert_eq!(joined(&answer, &room)["unread_notifications"]["notification_count"], 0);
    // A first sync has them too.
    let receipts = ephemeral(&story.sync(alice, &[]).await, &room, "m.receipt");
    assert!(receipts[&first]["m.read"].is_object() && receipts[&second].is_null(), "{receipts}");
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn the_last_receipt_stands_for_those_before(pool: PgPool) {
    let story = Story::begin(pool.clone()).await;
    let (alice, bob) = (&story.alice, &story.bob);
    let room = story.shared().await;
    let mut sent = Vec::new();
    for n in 0..4 {
        sent.push(story.say(alice, &room, &format!("m{n}")).await);
    }
    let since = story.now(alice).await;
    let read = async |event_id: &str, body: Value| {
        let path = format!("/_matrix/client/v3/rooms/{room}/receipt/m.read/{event_id}");
        story.server.post(&path, Some(bob), body).await.ok();
    };
    for event_id in &sent {
        read(event_id, json!({})).await;
    }
    let root = &sent[0];
    read(root, json!({"thread_id": "main"})).await;
    let cold = crate::test_server::open(pool).await;
    for server in [&story.server, &cold] {
        let answer = super::sync_at(server, alice, &[("since", &since)]).await.ok();
        let receipts = ephemeral(&answer, &room, "m.receipt");
        let mut events: Vec<&String> = receipts.as_object().unwrap().keys().collect();
        let mut expect = [root, &sent[3]];
        expect.sort();
        events.sort();
        assert_eq!(events, expect, "one of each thread, and one without");
        let path = format!("/_matrix/client/v3/events?from={since}&timeout=0");
        let answer = server.get(&path, Some(alice)).await;
        assert!(!answer.text.contains(&*sent[1]), "{}", answer.text);
    }
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn account_data_of_the_user_and_of_rooms(pool: PgPool) {
    let story = Story::begin(pool).await;
    let bob = &story.bob;
    let room = story.shared().await;
    let first = story.sync(bob, &[]).await;
    let types = |answer: &Value| said(&answer["account_data"]);
    assert_eq!(types(&first), ["m.push_rules"], "everybody has rules");
    let rules = &first["account_data"]["events"][0]["content"];
    let all = story.server.get("/_matrix/client/v3/pushrules/", Some(bob)).await.ok();
    assert_eq!(rules, &all);
    for kind in ["postcontent", "room", "sender"] {
        assert_eq!(rules["global"][kind], json!([]));
    }
    let base = format!("/_matrix/client/v3/user/{}", bob.user_id);
    let put = async |path: &str, content: Value| {
        story.server.put(&format!("{base}{path}"), Some(bob), content).await.ok();
    };
    put("/account_data/org.example.a", json!({"a": 1})).await;
    put(&format!("/rooms/{room}/account_data/org.example.b"), json!({"b": 1})).await;
    put(&format!("/rooms/{room}/tags/m.favourite"), json!({"order": 0.5})).await;
    let rule = "/_matrix/client/v3/pushrules/global/content/mykw";
    let body = json!({"pattern": "kw", "actions": ["notify"]});
    story.server.put(rule, Some(bob), body).await.ok();

    let answer = story.sync(bob, &[("since", &token(&first))]).await;
    let mut seen = types(&answer);
    seen.sort_unstable();
    assert_eq!(seen, ["m.push_rules", "org.example.a"]);
    let part = joined(&answer, &room);
    let mut seen = said(&part["account_data"]);
    seen.sort_unstable();
    assert_eq!(seen, ["m.tag", "org.example.b"], "{part}");
    assert_eq!(said(&part["timeline"]), Vec::<String>::new());
    let filter =
        r#"{"account_data":{"types":["org.example.*"]},"room":{"account_data":{"types":[]}}}"#;
    let answer = story.sync(bob, &[("filter", filter)]).await;
    assert_eq!(types(&answer), ["org.example.a"]);
    assert_eq!(said(&joined(&answer, &room)["account_data"]), Vec::<String>::new());
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn who_shares_a_room_sees_the_presence(pool: PgPool) {
    let story = Story::begin(pool).await;
    let (alice, bob) = (&story.alice, &story.bob);
    let carol = story.server.user("carol").await;
    story.shared().await;
    let (b, c) = (story.now(bob).await, story.now(&carol).await);
    let path = format!("/_matrix/client/v3/presence/{}/status", alice.user_id);
    let body = json!({"presence": "unavailable", "status_msg": "tea"});
    story.server.put(&path, Some(alice), body).await.ok();
    let of_alice = |answer: &Value| {
        let events = answer["presence"]["events"].as_array().cloned().unwrap_or_default();
        events.into_iter().find(|event| event["sender"] == alice.user_id.as_str())
    };
    let event = of_alice(&story.sync(bob, &[("since", &b)]).await).unwrap();
    assert_eq!(event["content"]["presence"], "unavailable");
    assert_eq!(event["content"]["status_msg"], "tea");
    assert_eq!(of_alice(&story.sync(&carol, &[("since", &c)]).await), None);
    assert!(of_alice(&story.sync(bob, &[]).await).is_some());
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn the_ignored_are_not_heard(pool: PgPool) {
    let story = Story::begin(pool).await;
    let (alice, bob) = (&story.alice, &story.bob);
    let room = story.shared().await;
    let path = format!("/_matrix/client/v3/user/{}/account_data/m.ignored_user_list", bob.user_id);
    let list = json!({"ignored_users": {alice.user_id.as_str(): {}, "junk": {}}});
    story.server.put(&path, Some(bob), list).await.ok();
    let since = story.now(bob).await;
    story.say(alice, &room, "noise").await;
    story.set(alice, &room, "m.room.topic", json!({"topic": "still seen"})).await;
    let other = story.create(alice, json!({"invite": [bob.user_id]})).await;
    let answer = story.sync(bob, &[("since", &since)]).await;
    assert_eq!(said(&joined(&answer, &room)["timeline"]), ["m.room.topic"]);
    assert_eq!(joined(&answer, &room)["unread_notifications"]["notification_count"], 0);
    assert_eq!(answer["rooms"]["invite"][&other], json!(null));
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn who_comes_in_sees_who_is_there_and_types(pool: PgPool) {
    let story = Story::begin(pool).await;
    let (alice, bob) = (&story.alice, &story.bob);
    let carol = story.server.user("carol").await;
    let room = story.shared().await;
    let path = format!("/_matrix/client/v3/rooms/{room}/typing/{}", alice.user_id);
    let typing = json!({"typing": true, "timeout": 30000});
    let a = story.now(alice).await;
    story.server.put(&path, Some(alice), typing).await.ok();
    let types = json!({"user_ids": [alice.user_id]});
    assert_eq!(ephemeral(&story.sync(bob, &[]).await, &room, "m.typing"), types);

    let c = story.now(&carol).await;
    story.act(&carol, &room, "join", json!({})).await;
    let answer = story.sync(&carol, &[("since", &c)]).await;
    assert_eq!(ephemeral(&answer, &room, "m.typing"), types);
    let present = |answer: &Value, user: &myelin_testing::TestUser| {
        let events = answer["presence"]["events"].as_array().cloned().unwrap_or_default();
        events.iter().any(|event| event["sender"] == user.user_id.as_str())
    };
    assert!(present(&answer, alice), "{answer}");
    let answer = story.sync(alice, &[("since", &a)]).await;
    assert!(present(&answer, &carol), "{answer}");
}
