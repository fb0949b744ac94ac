//! Stories of joined rooms: timelines, gaps and state.

use serde_json::json;
use sqlx::PgPool;

use super::{Story, joined, keys, said, token};

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn a_room_is_told_whole_and_then_what_changed(pool: PgPool) {
    let story = Story::begin(pool).await;
    let (alice, bob) = (&story.alice, &story.bob);
    let room = story.create(alice, json!({"name": "Den", "preset": "public_chat"})).await;
    story.say(alice, &room, "one").await;

    let answer = story.sync(alice, &[]).await;
    let den = joined(&answer, &room);
    let types = said(&den["timeline"]);
    assert_eq!(types.first().map(String::as_str), Some("m.room.create"), "{types:?}");
    assert_eq!(types.last().map(String::as_str), Some("one"));
    assert_eq!(den["timeline"]["limited"], false);
    assert_eq!(keys(&den["state"]), vec![], "everything stands in the timeline");
    assert_eq!(den["summary"]["m.joined_member_count"], 1);
    assert_eq!(answer["device_one_time_keys_count"], json!({"signed_curve25519": 0}));
    let since = token(&answer);

    let answer = story.sync(alice, &[("since", &since)]).await;
    assert_eq!(answer["rooms"], json!(null), "nothing is new: {answer}");

    story.act(bob, &room, "join", json!({})).await;
    story.say(bob, &room, "two").await;
    let answer = story.sync(alice, &[("since", &since)]).await;
    let den = joined(&answer, &room);
    assert_eq!(said(&den["timeline"]), ["m.room.member", "two"]);
    assert_eq!(den["timeline"]["limited"], false);
    assert_eq!(den["summary"]["m.joined_member_count"], 2);
    assert_eq!(den["timeline"]["events"][1]["unsigned"]["membership"], "join");
    assert!(den["timeline"]["events"][1].get("room_id").is_none());
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn a_gap_is_told_by_the_state(pool: PgPool) {
    let story = Story::begin(pool).await;
    let (alice, bob) = (&story.alice, &story.bob);
    let room = story.shared().await;
    let since = story.now(bob).await;
    story.set(alice, &room, "m.room.topic", json!({"topic": "a"})).await;
    story.set(alice, &room, "m.room.topic", json!({"topic": "b"})).await;
    for n in 0..5 {
        story.say(alice, &room, &format!("m{n}")).await;
    }
    story.set(alice, &room, "m.room.topic", json!({"topic": "c"})).await;

    let filter = r#"{"room":{"timeline":{"limit":3}}}"#;
    let answer = story.sync(bob, &[("since", &since), ("filter", filter)]).await;
    let part = joined(&answer, &room);
    assert_eq!(said(&part["timeline"]), ["m3", "m4", "m.room.topic"]);
    assert_eq!(part["timeline"]["limited"], true);
    assert_eq!(part["state"]["events"][0]["content"]["topic"], "b", "{part}");
    assert_eq!(part["state"]["events"].as_array().unwrap().len(), 1);
    let topic = &part["timeline"]["events"][2];
    assert_eq!(topic["unsigned"]["prev_content"]["topic"], "b");

    let from = part["timeline"]["prev_batch"].as_str().unwrap();
    let path = format!("/_matrix/client/v3/rooms/{room}/messages?dir=b&limit=3&from={from}");
    let page = story.server.get(&path, Some(bob)).await.ok();
    assert_eq!(said(&json!({"events": page["chunk"]})), ["m2", "m1", "m0"]);

    let query = [("since", &*since), ("filter", filter), ("use_state_after", "true")];
    let answer = story.sync(bob, &query).await;
    let part = joined(&answer, &room);
    assert_eq!(part["state_after"]["events"][0]["content"]["topic"], "c", "{part}");
    assert!(part.get("state").is_none());
    let query = [("since", &*since), ("org.matrix.msc4222.use_state_after", "true")];
    let answer = story.sync(bob, &query).await;
    assert!(joined(&answer, &room).get("org.matrix.msc4222.state_after").is_some());

    let answer = story.sync(bob, &[("filter", filter)]).await;
    let part = joined(&answer, &room);
    assert_eq!(said(&part["timeline"]), ["m3", "m4", "m.room.topic"]);
    let topics: Vec<_> = part["state"]["events"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| event["type"] == "m.room.topic")
        .map(|event| event["content"]["topic"].clone())
        .collect();
    assert_eq!(topics, ["b"], "the state before the timeline, not after it");
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn who_joins_gets_the_whole_state(pool: PgPool) {
    let story = Story::begin(pool).await;
    let (alice, bob) = (&story.alice, &story.bob);
    let since = story.now(bob).await;
    let room = story.create(alice, json!({"name": "Den", "preset": "public_chat"})).await;
    for n in 0..20 {
        story.say(alice, &room, &format!("m{n}")).await;
    }
    story.act(bob, &room, "join", json!({})).await;
    let answer = story.sync(bob, &[("since", &since)]).await;
    let part = joined(&answer, &room);
    assert_eq!(part["timeline"]["limited"], true);
    assert_eq!(part["timeline"]["events"].as_array().unwrap().len(), 10);
    let state = keys(&part["state"]);
    assert!(state.contains(&("m.room.name".to_owned(), String::new())), "{state:?}");
    assert!(state.contains(&("m.room.create".to_owned(), String::new())));
    assert!(!state.contains(&("m.room.member".to_owned(), bob.user_id.to_string())));

    // Left and joined again: the same.
    let since = token(&answer);
    story.act(bob, &room, "leave", json!({})).await;
    story.act(bob, &room, "join", json!({})).await;
    let answer = story.sync(bob, &[("since", &since)]).await;
    assert!(keys(&joined(&answer, &room)["state"]).len() > 3);
    assert_eq!(answer["rooms"]["leave"], json!(null));
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn only_the_sending_device_sees_the_transaction(pool: PgPool) {
    let story = Story::begin(pool).await;
    let room = story.shared().await;
    let (a, b) = (story.now(&story.alice).await, story.now(&story.bob).await);
    story.say(&story.alice, &room, "hello").await;
    let event = |answer: &serde_json::Value| joined(answer, &room)["timeline"]["events"][0].clone();
    let answer = story.sync(&story.alice, &[("since", &a)]).await;
    assert_eq!(event(&answer)["unsigned"]["transaction_id"], "t0");
    let answer = story.sync(&story.bob, &[("since", &b)]).await;
    assert_eq!(event(&answer)["unsigned"]["transaction_id"], json!(null));
    assert_eq!(event(&answer)["unsigned"]["age"], 0);
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn what_was_redacted_is_shown_so(pool: PgPool) {
    let story = Story::begin(pool).await;
    let room = story.shared().await;
    let since = story.now(&story.bob).await;
    let event_id = story.say(&story.alice, &room, "oops").await;
    let path = format!("/_matrix/client/v3/rooms/{room}/redact/{event_id}/r1");
    story.server.put(&path, Some(&story.alice), json!({"reason": "typo"})).await.ok();
    for query in [vec![("since", &*since)], vec![]] {
        let answer = story.sync(&story.bob, &query).await;
        let events = joined(&answer, &room)["timeline"]["events"].as_array().unwrap().clone();
        let event = events.iter().find(|event| event["event_id"] == *event_id).unwrap();
        assert_eq!(event["content"], json!({}));
        let because = &event["unsigned"]["redacted_because"];
        assert_eq!(because["content"]["reason"], "typo", "{event}");
    }
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn full_state_tells_all_rooms(pool: PgPool) {
    let story = Story::begin(pool).await;
    let room = story.shared().await;
    let since = story.now(&story.bob).await;
    let answer = story.sync(&story.bob, &[("since", &since), ("full_state", "true")]).await;
    let part = joined(&answer, &room);
    assert_eq!(said(&part["timeline"]), Vec::<String>::new());
    assert!(keys(&part["state"]).len() > 4, "{part}");
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn bad_parameters_are_refused(pool: PgPool) {
    let story = Story::begin(pool).await;
    for (query, expect) in [
        (("since", "garbage"), (400, "M_INVALID_PARAM")),
        (("timeout", "soon"), (400, "M_INVALID_PARAM")),
        (("full_state", "maybe"), (400, "M_INVALID_PARAM")),
        (("set_presence", "away"), (400, "M_INVALID_PARAM")),
        (("filter", "{"), (400, "M_NOT_JSON")),
        (("filter", "77"), (400, "M_INVALID_PARAM")),
        (("filter", "x"), (400, "M_INVALID_PARAM")),
        (("filter", r#"{"room":1}"#), (400, "M_UNKNOWN")),
        (("from", "s1"), (400, "M_UNKNOWN")),
    ] {
        let answer = story.try_sync(&story.alice, &[query]).await;
        assert_eq!(answer.error(), expect, "{query:?}");
    }
    let answer = story.server.get("/_matrix/client/v3/sync", None).await;
    assert_eq!(answer.error(), (401, "M_MISSING_TOKEN"));
    // A token of Synapse's, and of a client that was here before.
    story.sync(&story.alice, &[("since", "s0_0_0_0_0_0_0_0_0_0")]).await;
    story.server.get("/_matrix/client/r0/sync", Some(&story.alice)).await.ok();
}

/// Alice takes something back.
async fn redact(story: &Story, room: &str, event_id: &str) {
    let path = format!("/_matrix/client/v3/rooms/{room}/redact/{event_id}/r1");
    story.server.put(&path, Some(&story.alice), json!({})).await.ok();
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn a_redacted_name_names_no_room(pool: PgPool) {
    let story = Story::begin(pool).await;
    let (alice, bob) = (&story.alice, &story.bob);
    let room = story.create(alice, json!({"preset": "public_chat"})).await;
    story.act(bob, &room, "join", json!({})).await;
    let name = story.set(alice, &room, "m.room.name", json!({"name": "Den"})).await;
    let answer = story.sync(alice, &[]).await;
    assert_eq!(joined(&answer, &room)["summary"]["m.heroes"], json!(null));

    redact(&story, &room, &name).await;

    let answer = story.sync(alice, &[]).await;
    assert_eq!(joined(&answer, &room)["summary"]["m.heroes"], json!([bob.user_id]));
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn a_redacted_event_has_no_url(pool: PgPool) {
    let story = Story::begin(pool).await;
    let alice = &story.alice;
    let room = story.create(alice, json!({})).await;
    let image = json!({"msgtype": "m.image", "body": "image", "url": "mxc://example.org/x"});
    let sent = story.send(alice, &room, image).await;
    let filter = r#"{"room":{"timeline":{"contains_url":true}}}"#;
    let answer = story.sync(alice, &[("filter", filter)]).await;
    assert_eq!(said(&joined(&answer, &room)["timeline"]), ["image"]);

    redact(&story, &room, &sent).await;

    let answer = story.sync(alice, &[("filter", filter)]).await;
    assert_eq!(said(&joined(&answer, &room)["timeline"]), [""; 0]);
}
