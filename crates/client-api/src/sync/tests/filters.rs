//! Filters.

use serde_json::json;
use sqlx::PgPool;

use super::{Story, joined, keys, said, token};

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn types_senders_and_rooms(pool: PgPool) {
    let story = Story::begin(pool).await;
    let (alice, bob) = (&story.alice, &story.bob);
    let (room, other) = (story.shared().await, story.shared().await);
    let since = story.now(bob).await;
    story.say(alice, &room, "from alice").await;
    story.say(bob, &room, "from bob").await;
    story.set(alice, &room, "m.room.topic", json!({"topic": "x"})).await;
    story
        .send(alice, &room, json!({"msgtype": "m.image", "body": "pic", "url": "mxc://a/b"}))
        .await;
    story.say(alice, &other, "elsewhere").await;
    let timeline = async |filter: serde_json::Value| {
        let query = [("since", &*since), ("filter", &*filter.to_string())];
        let answer = story.sync(bob, &query).await;
        (said(&joined(&answer, &room)["timeline"]), answer)
    };
    for (filter, expect) in [
        (json!({"types": ["m.room.message"]}), vec!["from alice", "from bob", "pic"]),
        (json!({"types": ["m.room.m*"]}), vec!["from alice", "from bob", "pic"]),
        (json!({"not_types": ["m.room.message"]}), vec!["m.room.topic"]),
        (json!({"senders": [bob.user_id]}), vec!["from bob"]),
        (json!({"not_senders": [alice.user_id]}), vec!["from bob"]),
        (json!({"contains_url": true}), vec!["pic"]),
        (
            json!({"contains_url": false, "types": ["m.room.message"]}),
            vec!["from alice", "from bob"],
        ),
        (json!({"limit": 1}), vec!["pic"]),
        (json!({"limit": 0}), vec![]),
        (json!({"unknown": {"a": 1}}), vec!["from alice", "from bob", "m.room.topic", "pic"]),
    ] {
        let (said, _) = timeline(json!({"room": {"timeline": filter}})).await;
        assert_eq!(said, expect, "{filter}");
    }
    let (said_here, answer) = timeline(json!({"room": {"rooms": [other]}})).await;
    assert!(said_here.is_empty() && joined(&answer, &other).is_object());
    let (said_here, answer) = timeline(json!({"room": {"not_rooms": [other]}})).await;
    assert!(!said_here.is_empty() && joined(&answer, &other).is_null());

    // What the timeline's filter keeps out, the state tells.
    let (_, answer) = timeline(json!({"room": {"timeline": {"types": ["m.room.message"]}}})).await;
    assert_eq!(keys(&joined(&answer, &room)["state"]).len(), 1);
    let (_, answer) = timeline(json!({"event_fields": ["content.body", "sender"]})).await;
    let event = &joined(&answer, &room)["timeline"]["events"][0];
    assert_eq!(event, &json!({"content": {"body": "from alice"}, "sender": alice.user_id}));
    let (_, answer) = timeline(json!({"event_format": "federation"})).await;
    let event = &joined(&answer, &room)["timeline"]["events"][0];
    assert!(event["hashes"].is_object());
    let event_id = event["event_id"].as_str().unwrap().to_owned();
    let path = format!("/_matrix/client/v3/rooms/{room}/redact/{event_id}/r1");
    story.server.put(&path, Some(alice), json!({})).await.ok();
    let (_, answer) = timeline(json!({"event_format": "federation"})).await;
    let events = joined(&answer, &room)["timeline"]["events"].as_array().unwrap();
    let redacted = events.iter().find(|event| event["event_id"] == *event_id).unwrap();
    assert_eq!(redacted["content"], json!({}), "what was redacted is gone in every format");
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn members_come_when_they_are_needed(pool: PgPool) {
    let story = Story::begin(pool).await;
    let (alice, bob) = (&story.alice, &story.bob);
    let (carol, dan) = (story.server.user("carol").await, story.server.user("dan").await);
    let room = story.create(alice, json!({"preset": "public_chat", "name": "named"})).await;
    for user in [bob, &carol, &dan] {
        story.act(user, &room, "join", json!({})).await;
    }
    for n in 0..12 {
        story.say(&carol, &room, &format!("c{n}")).await;
    }
    let filter = r#"{"room":{"state":{"lazy_load_members":true},"timeline":{"limit":5}}}"#;
    let members = |answer: &serde_json::Value| -> Vec<String> {
        keys(&joined(answer, &room)["state"])
            .into_iter()
            .filter(|(event_type, _)| event_type == "m.room.member")
            .map(|(_, user)| user)
            .collect()
    };
    let answer = story.sync(bob, &[("filter", filter)]).await;
    assert_eq!(members(&answer), ["@bob:example.org", "@carol:example.org"]);
    let since = token(&answer);

    story.say(&carol, &room, "again").await;
    story.say(&dan, &room, "hello").await;
    let answer = story.sync(bob, &[("filter", filter), ("since", &since)]).await;
    assert_eq!(members(&answer), ["@dan:example.org"], "carol is known");

    story.say(&dan, &room, "hello again").await;
    let since = token(&answer);
    let answer = story.sync(bob, &[("filter", filter), ("since", &since)]).await;
    assert_eq!(members(&answer), Vec::<String>::new());
    let redundant =
        r#"{"room":{"state":{"lazy_load_members":true,"include_redundant_members":true}}}"#;
    let answer = story.sync(bob, &[("filter", redundant), ("since", &since)]).await;
    assert_eq!(members(&answer), ["@dan:example.org"]);
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn what_relates_is_bundled_after_a_gap_and_can_be_asked_for(pool: PgPool) {
    let story = Story::begin(pool).await;
    let (alice, bob) = (&story.alice, &story.bob);
    let room = story.shared().await;
    let since = story.now(bob).await;
    for n in 0..3 {
        story.say(alice, &room, &format!("m{n}")).await;
    }
    let root = story.say(alice, &room, "root").await;
    let thread = json!({"rel_type": "m.thread", "event_id": root});
    for n in 0..2 {
        let body = json!({"msgtype": "m.text", "body": format!("t{n}"), "m.relates_to": thread});
        story.send(bob, &room, body).await;
    }
    let with = |filter: &str| filter.to_owned();
    let gap = with(r#"{"room":{"timeline":{"limit":3}}}"#);
    for query in [vec![("filter", &*gap), ("since", &*since)], vec![("filter", &*gap)]] {
        let answer = story.sync(bob, &query).await;
        let part = joined(&answer, &room);
        assert_eq!(said(&part["timeline"]), ["root", "t0", "t1"]);
        let thread = &part["timeline"]["events"][0]["unsigned"]["m.relations"]["m.thread"];
        assert_eq!(
            (&thread["count"], &thread["current_user_participated"]),
            (&json!(2), &json!(true))
        );
        assert_eq!(thread["latest_event"]["content"]["body"], "t1");
    }
    let answer = story.sync(bob, &[("since", &since)]).await;
    let events = &joined(&answer, &room)["timeline"]["events"];
    assert!(events[3]["unsigned"].get("m.relations").is_none(), "nothing is missing");
    let related = with(r#"{"room":{"timeline":{"related_by_rel_types":["m.thread"]}}}"#);
    let answer = story.sync(bob, &[("since", &since), ("filter", &related)]).await;
    assert_eq!(said(&joined(&answer, &room)["timeline"]), ["root"]);
    for (key, expect) in
        [("rel_types", vec!["t0", "t1"]), ("not_rel_types", vec!["m0", "m1", "m2", "root"])]
    {
        let timeline = json!({format!("org.matrix.msc3874.{key}"): ["m.thread"]});
        let filter = json!({"room": {"timeline": timeline}}).to_string();
        let answer = story.sync(bob, &[("since", &since), ("filter", &filter)]).await;
        assert_eq!(said(&joined(&answer, &room)["timeline"]), expect, "{key}");
    }
    let other = story.say(alice, &room, "other").await;
    let thread = json!({"rel_type": "m.thread", "event_id": other});
    let body = json!({"msgtype": "m.text", "body": "gone", "m.relates_to": thread});
    let redacted = story.send(bob, &room, body).await;
    let path = format!("/_matrix/client/v3/rooms/{room}/redact/{redacted}/r1");
    story.server.put(&path, Some(bob), json!({})).await.ok();
    let answer = story.sync(bob, &[("since", &since), ("filter", &related)]).await;
    assert_eq!(said(&joined(&answer, &room)["timeline"]), ["root"]);
}
