//! Stories of clients that take in the state and then the timeline, in rooms of which they do not see all.

use std::collections::BTreeMap;

use myelin_testing::TestUser;
use serde_json::{Value, json};
use sqlx::PgPool;

use super::{Story, joined};

/// State by type and key.
type State = BTreeMap<(String, String), String>;

fn take_in(state: &mut State, events: &Value) {
    for event in events.as_array().unwrap() {
        if let Some(state_key) = event["state_key"].as_str() {
            let key = (event["type"].as_str().unwrap().to_owned(), state_key.to_owned());
            state.insert(key, event["event_id"].as_str().unwrap().to_owned());
        }
    }
}

/// The state that a user comes to by a sync, and the state as it is.
async fn both_states(
    story: &Story,
    user: &TestUser,
    room: &str,
    query: &[(&str, &str)],
) -> (State, State, Value) {
    let answer = story.sync(user, query).await;
    let part = joined(&answer, room).clone();
    let (mut told, mut held) = (State::new(), State::new());
    take_in(&mut told, &part["state"]["events"]);
    take_in(&mut told, &part["timeline"]["events"]);
    let path = format!("/_matrix/client/v3/rooms/{room}/state");
    take_in(&mut held, &story.server.get(&path, Some(user)).await.ok());
    (told, held, part)
}

async fn name(story: &Story, user: &TestUser, room: &str, name: &str) {
    let path = format!("/_matrix/client/v3/rooms/{room}/state/m.room.member/{}", user.user_id);
    let content = json!({"membership": "join", "displayname": name});
    story.server.put(&path, Some(user), content).await.ok();
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn who_comes_in_ends_with_the_state_that_holds(pool: PgPool) {
    let story = Story::begin(pool).await;
    let (alice, bob) = (&story.alice, &story.bob);
    let (carol, dave) = (story.server.user("carol").await, story.server.user("dave").await);
    for visibility in ["shared", "invited", "joined"] {
        let visibility = json!([{"type": "m.room.history_visibility", "state_key": "",
            "content": {"history_visibility": visibility}}]);
        let options = json!({"preset": "public_chat", "initial_state": visibility});
        let room = story.create(alice, options).await;
        let since = [story.now(&carol).await, story.now(&dave).await];
        story.act(bob, &room, "join", json!({})).await;
        story.act(&carol, &room, "join", json!({})).await;
        story.set(alice, &room, "m.room.topic", json!({"topic": "seen"})).await;
        name(&story, bob, &room, "seen").await;
        story.say(bob, &room, "seen").await;
        story.act(&carol, &room, "leave", json!({})).await;
        story.set(alice, &room, "m.room.topic", json!({"topic": "unseen"})).await;
        name(&story, bob, &room, "unseen").await;
        let levels = json!({"users": {bob.user_id.as_str(): 50}});
        story.set(alice, &room, "m.room.power_levels", levels).await;
        story.act(&carol, &room, "join", json!({})).await;
        story.act(&dave, &room, "join", json!({})).await;
        story.say(bob, &room, "hello").await;
        for (user, since) in [&carol, &dave].into_iter().zip(&since) {
            for limit in [1, 3, 5, 10, 20, 50] {
                let filter = json!({"room": {"timeline": {"limit": limit}}}).to_string();
                for query in [&[("filter", &*filter)][..], &[("filter", &filter), ("since", since)]]
                {
                    let (told, held, part) = both_states(&story, user, &room, query).await;
                    assert_eq!(told, held, "{query:?}: {part}");
                    let events = part["timeline"]["events"].as_array().unwrap();
                    assert_eq!(events[events.len() - 1]["content"]["body"], "hello");
                }
            }
        }
        // Of the members, those who speak.
        let filter = r#"{"room":{"state":{"lazy_load_members":true},"timeline":{"limit":50}}}"#;
        for user in [&carol, &dave] {
            let (told, held, part) = both_states(&story, user, &room, &[("filter", filter)]).await;
            for (key, event_id) in told {
                assert_eq!(held.get(&key), Some(&event_id), "{key:?}: {part}");
            }
        }
    }
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn what_a_filter_keeps_out_holds_nevertheless(pool: PgPool) {
    let story = Story::begin(pool).await;
    let (alice, bob) = (&story.alice, &story.bob);
    let room = story.shared().await;
    let levels = json!({"users": {bob.user_id.as_str(): 50}});
    story.set(alice, &room, "m.room.power_levels", levels).await;
    let since = story.now(alice).await;
    let filter = json!({"room": {"timeline": {"not_senders": [bob.user_id]}}}).to_string();
    story.set(alice, &room, "m.room.topic", json!({"topic": "Alice's"})).await;
    story.set(bob, &room, "m.room.topic", json!({"topic": "Bob's"})).await;
    story.say(alice, &room, "hello").await;
    for query in [&[("filter", &*filter)][..], &[("filter", &filter), ("since", &since)]] {
        let (told, held, part) = both_states(&story, alice, &room, query).await;
        let topic = ("m.room.topic".to_owned(), String::new());
        assert_eq!(told.get(&topic), held.get(&topic), "{part}");
        assert_eq!(part["timeline"]["limited"], true, "{part}");
    }
    // Who takes the state in after the timeline gets all of this.
    let query = [("filter", &*filter), ("since", &since), ("use_state_after", "true")];
    let answer = story.sync(alice, &query).await;
    let timeline = &joined(&answer, &room)["timeline"];
    assert_eq!(super::said(timeline), ["m.room.topic", "hello"]);
    assert_eq!(timeline["limited"], false);
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn what_was_replaced_out_of_sight_is_not_told(pool: PgPool) {
    let story = Story::begin(pool.clone()).await;
    let (alice, bob) = (&story.alice, &story.bob);
    for visibility in ["invited", "joined", "shared"] {
        let is_hidden = visibility != "shared";
        let initial = json!([{"type": "m.room.history_visibility", "state_key": "",
            "content": {"history_visibility": visibility}}]);
        let options = json!({"preset": "public_chat", "initial_state": initial});
        let room = story.create(alice, options).await;
        let before = story.now(bob).await;
        story.set(alice, &room, "m.room.topic", json!({"topic": "unseen"})).await;
        name(&story, alice, &room, "unseen").await;
        story.act(bob, &room, "join", json!({})).await;
        let joined_at = story.now(bob).await;
        let topic = story.set(alice, &room, "m.room.topic", json!({"topic": "seen"})).await;
        name(&story, alice, &room, "seen").await;
        let wide = json!({"room": {"timeline": {"limit": 50}}}).to_string();
        let path = format!("/_matrix/client/v3/rooms/{room}");
        for server in [&story.server, &crate::test_server::open(pool.clone()).await] {
            let mut texts = Vec::new();
            for query in [
                &[("filter", &*wide)][..],
                &[("filter", &wide), ("since", &before)],
                &[("since", &joined_at)],
            ] {
                texts.push(super::sync_at(server, bob, query).await.text);
            }
            for path in [
                format!("{path}/event/{topic}"),
                format!("{path}/context/{topic}?limit=50"),
                format!("{path}/messages?dir=b&limit=50"),
                format!("{path}/initialSync?limit=50"),
                format!("/_matrix/client/v3/events?from={joined_at}&timeout=0"),
            ] {
                texts.push(server.get(&path, Some(bob)).await.text);
            }
            for text in texts {
                assert!(text.contains("\"topic\":\"seen\""), "{visibility}: {text}");
                assert!(text.contains("replaces_state"), "{visibility}: {text}");
                let replaced = r#""prev_content":{"topic":"unseen"}"#;
                assert_eq!(text.contains(replaced), !is_hidden, "{visibility}: {text}");
                if is_hidden {
                    assert!(!text.contains("unseen"), "{visibility}: {text}");
                }
            }
        }
        // What is seen is told.
        let since = story.now(bob).await;
        story.set(alice, &room, "m.room.topic", json!({"topic": "last"})).await;
        let answer = story.sync(bob, &[("since", &since)]).await;
        let event = &joined(&answer, &room)["timeline"]["events"][0];
        assert_eq!(event["unsigned"]["prev_content"]["topic"], "seen", "{event}");
    }
}
