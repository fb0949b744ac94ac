//! Rooms that the user is not in: left, invited to, knocked at.

use serde_json::{Value, json};
use sqlx::PgPool;

use super::{Story, keys, said, sync_at, token};
use crate::{test_rooms::TestRoom, test_server};

fn left<'v>(answer: &'v Value, room: &str) -> &'v Value {
    &answer["rooms"]["leave"][room]
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn a_left_room_ends_with_the_leaving(pool: PgPool) {
    let story = Story::begin(pool).await;
    let (alice, bob) = (&story.alice, &story.bob);
    let room = story.shared().await;
    let since = story.now(bob).await;
    story.say(alice, &room, "before").await;
    story.act(bob, &room, "leave", json!({})).await;
    story.say(alice, &room, "after").await;

    let answer = story.sync(bob, &[("since", &since)]).await;
    assert_eq!(said(&left(&answer, &room)["timeline"]), ["before", "m.room.member"]);
    assert_eq!(keys(&left(&answer, &room)["state"]), vec![]);
    let answer = story.sync(bob, &[("since", &token(&answer))]).await;
    assert_eq!(answer["rooms"], json!(null), "it is told once");

    assert_eq!(left(&story.sync(bob, &[]).await, &room), &json!(null));
    let filter = r#"{"room":{"include_leave":true,"timeline":{"limit":1}}}"#;
    let answer = story.sync(bob, &[("filter", filter)]).await;
    let part = left(&answer, &room);
    assert_eq!(said(&part["timeline"]), ["m.room.member"]);
    assert!(keys(&part["state"]).len() > 3, "{part}");
    let filter = r#"{"room":{"include_leave":true,"timeline":{"limit":0}}}"#;
    let answer = story.sync(bob, &[("filter", filter)]).await;
    let own = ("m.room.member".to_owned(), bob.user_id.to_string());
    assert!(keys(&left(&answer, &room)["state"]).contains(&own), "{answer}");

    story.act(bob, &room, "forget", json!({})).await;
    let answer = story.sync(bob, &[("filter", filter)]).await;
    assert_eq!(left(&answer, &room), &json!(null));
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn who_leaves_and_forgets_at_once_hears_of_the_leave_on_other_devices(pool: PgPool) {
    let story = Story::begin(pool).await;
    let bob = &story.bob;
    let room = story.shared().await;
    let since = story.now(bob).await;
    story.act(bob, &room, "leave", json!({})).await;
    story.act(bob, &room, "forget", json!({})).await;
    let answer = story.sync(bob, &[("since", &since)]).await;
    assert!(left(&answer, &room).is_object(), "{answer}");
    let answer = story.sync(bob, &[("since", &token(&answer))]).await;
    assert_eq!(answer["rooms"], json!(null), "it is told once");
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn who_is_kicked_hears_of_it(pool: PgPool) {
    let story = Story::begin(pool).await;
    let (alice, bob) = (&story.alice, &story.bob);
    let room = story.shared().await;
    let since = story.now(bob).await;
    story.act(alice, &room, "ban", json!({"user_id": bob.user_id, "reason": "spam"})).await;
    story.say(alice, &room, "gone").await;
    let answer = story.sync(bob, &[("since", &since)]).await;
    let part = left(&answer, &room);
    assert_eq!(said(&part["timeline"]), ["m.room.member"]);
    assert_eq!(part["timeline"]["events"][0]["content"]["membership"], "ban");
    assert!(left(&story.sync(bob, &[]).await, &room).is_object(), "on a first sync too");
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn who_left_and_was_banned_later_sees_it_up_to_the_leave(pool: PgPool) {
    let story = Story::begin(pool).await;
    let (alice, bob) = (&story.alice, &story.bob);
    let room = story.shared().await;
    story.say(alice, &room, "before").await;
    story.act(bob, &room, "leave", json!({})).await;
    story.say(alice, &room, "after").await;
    story.act(alice, &room, "ban", json!({"user_id": bob.user_id})).await;
    for limit in [1, 100] {
        let filter =
            json!({"room": {"include_leave": true, "timeline": {"limit": limit}}}).to_string();
        let answer = story.sync(bob, &[("filter", &filter)]).await;
        let part = left(&answer, &room);
        let told = said(&part["timeline"]);
        let expect = ["before", "m.room.member", "m.room.member"];
        let expect = if limit > 1 { &expect[..] } else { &expect[2..] };
        assert!(told.ends_with(&expect.iter().map(ToString::to_string).collect::<Vec<_>>()));
        assert!(!told.contains(&"after".to_owned()), "{told:?}");
        assert_eq!(part["timeline"]["limited"] == true, limit == 1, "{part}");
        assert_eq!(keys(&part["state"]).len() > 3, limit == 1, "{part}");
    }
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn what_was_redacted_after_the_leave_is_redacted(pool: PgPool) {
    let story = Story::begin(pool.clone()).await;
    let (alice, bob) = (&story.alice, &story.bob);
    let target = json!({"user_id": bob.user_id});
    let leaves =
        [(bob, "leave", json!({})), (alice, "kick", target.clone()), (alice, "ban", target)];
    for (user, how, body) in leaves {
        let room = story.shared().await;
        let since = story.now(bob).await;
        let message = story.say(alice, &room, "a slip").await;
        let topic = story.set(alice, &room, "m.room.topic", json!({"topic": "a slip"})).await;
        story.act(user, &room, how, body).await;
        for (n, event_id) in [message, topic].iter().enumerate() {
            let path = format!("/_matrix/client/v3/rooms/{room}/redact/{event_id}/{how}{n}");
            story.server.put(&path, Some(alice), json!({})).await.ok();
        }
        // A node that has just started reads it from the database.
        for server in [&story.server, &test_server::open(pool.clone()).await] {
            for limit in [1, 10] {
                let filter = json!({"room": {"timeline": {"limit": limit}}}).to_string();
                let query = [("since", &*since), ("filter", &*filter)];
                let answer = sync_at(server, bob, &query).await;
                assert!(left(&answer.body, &room).is_object(), "{}", answer.text);
                assert!(!answer.text.contains("a slip"), "{how}: {}", answer.text);
                // Who took it back, and why, came after the leave.
                assert!(!answer.text.contains("redacted_because"), "{how}: {}", answer.text);
            }
        }
    }
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn an_invite_shows_a_little_of_the_room(pool: PgPool) {
    let story = Story::begin(pool).await;
    let (alice, bob) = (&story.alice, &story.bob);
    let room = story.create(alice, json!({"name": "Den", "topic": "secret"})).await;
    story.say(alice, &room, "hidden").await;
    let since = story.now(bob).await;
    story.act(alice, &room, "invite", json!({"user_id": bob.user_id})).await;

    for query in [vec![("since", &*since)], vec![]] {
        let answer = story.sync(bob, &query).await;
        let invite = &answer["rooms"]["invite"][&room]["invite_state"];
        let state = keys(invite);
        for (event_type, state_key) in [
            ("m.room.create", ""),
            ("m.room.name", ""),
            ("m.room.join_rules", ""),
            ("m.room.member", alice.user_id.as_str()),
            ("m.room.member", bob.user_id.as_str()),
        ] {
            let key = (event_type.to_owned(), state_key.to_owned());
            assert!(state.contains(&key), "{key:?} in {state:?}");
        }
        assert_eq!(answer["rooms"]["join"], json!(null));
        for event in invite["events"].as_array().unwrap() {
            let keys: Vec<&String> = event.as_object().unwrap().keys().collect();
            assert_eq!(keys, ["content", "sender", "state_key", "type"], "{event}");
        }
    }

    let since = story.now(bob).await;
    story.act(bob, &room, "leave", json!({})).await;
    let answer = story.sync(bob, &[("since", &since)]).await;
    let part = left(&answer, &room);
    assert_eq!(said(&part["timeline"]), ["m.room.member"], "{answer}");
    assert_eq!(keys(&part["state"]), vec![], "nothing of a room that one was never in");
    assert!(answer["rooms"].get("invite").is_none());
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn an_invite_or_a_knock_shows_the_room_as_it_was_then(pool: PgPool) {
    let story = Story::begin(pool.clone()).await;
    let (alice, bob) = (&story.alice, &story.bob);
    let carol = story.server.user("carol").await;
    let knocking = json!([{"type": "m.room.join_rules", "content": {"join_rule": "knock"}}]);
    let options = json!({"name": "then", "topic": "then", "initial_state": knocking});
    let room = story.create(alice, options).await;
    let topic = story.set(alice, &room, "m.room.topic", json!({"topic": "a slip"})).await;
    story.act(alice, &room, "invite", json!({"user_id": bob.user_id})).await;
    let knock = format!("/_matrix/client/v3/knock/{room}");
    story.server.post(&knock, Some(&carol), json!({})).await.ok();
    story.set(alice, &room, "m.room.name", json!({"name": "later"})).await;
    let avatar = json!({"url": "mxc://example.org/later"});
    story.set(alice, &room, "m.room.avatar", avatar).await;
    let name = "/_matrix/client/v3/profile/@alice:example.org/displayname";
    story.server.put(name, Some(alice), json!({"displayname": "later"})).await.ok();
    let path = format!("/_matrix/client/v3/rooms/{room}/redact/{topic}/1");
    story.server.put(&path, Some(alice), json!({})).await.ok();

    // Another node has seen none of it.
    for server in [&story.server, &test_server::open(pool).await] {
        for (user, kind) in [(bob, "invite"), (&carol, "knock")] {
            let answer = sync_at(server, user, &[]).await;
            assert!(!answer.text.contains("later"), "{}", answer.text);
            assert!(!answer.text.contains("a slip"), "what is redacted is not told");
            let state = &answer.body["rooms"][kind][&room][format!("{kind}_state")];
            let events = state["events"].as_array().unwrap();
            let name = events.iter().find(|event| event["type"] == "m.room.name").unwrap();
            assert_eq!(name["content"]["name"], "then");
        }
        let path = "/_matrix/client/v3/initialSync";
        let answer = server.get(path, Some(bob)).await;
        assert!(!answer.text.contains("later"), "{}", answer.text);
    }
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn history_is_hidden_from_who_came_later(pool: PgPool) {
    let story = Story::begin(pool).await;
    let (alice, bob) = (&story.alice, &story.bob);
    let visibility = json!([{"type": "m.room.history_visibility", "state_key": "",
        "content": {"history_visibility": "joined"}}]);
    let options = json!({"preset": "public_chat", "initial_state": visibility});
    let room = story.create(alice, options).await;
    story.say(alice, &room, "early").await;
    story.act(bob, &room, "join", json!({})).await;
    story.say(alice, &room, "late").await;
    let part = story.sync(bob, &[]).await;
    let part = &part["rooms"]["join"][&room];
    let said = said(&part["timeline"]);
    assert_eq!(said.last().map(String::as_str), Some("late"));
    assert!(!said.contains(&"early".to_owned()), "{said:?}");
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn a_leave_and_a_new_invite_are_both_told(pool: PgPool) {
    let story = Story::begin(pool.clone()).await;
    let (alice, bob) = (&story.alice, &story.bob);
    let room = story.shared().await;
    let since = story.now(bob).await;
    story.say(alice, &room, "before").await;
    story.act(alice, &room, "kick", json!({"user_id": bob.user_id, "reason": "why"})).await;
    story.say(alice, &room, "unheard").await;
    story.act(alice, &room, "invite", json!({"user_id": bob.user_id})).await;
    // A node that has just started reads it from the database.
    let cold = crate::test_server::open(pool).await;
    for server in [&story.server, &cold] {
        let answer = super::sync_at(server, bob, &[("since", &since)]).await.ok();
        assert!(answer["rooms"]["invite"][&room].is_object(), "{answer}");
        let left = &answer["rooms"]["leave"][&room];
        assert_eq!(said(&left["timeline"]), ["before", "m.room.member"], "{answer}");
        assert_eq!(left["timeline"]["events"][1]["content"]["reason"], "why");
    }
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn who_is_unbanned_hears_what_was_before(pool: PgPool) {
    let story = Story::begin(pool).await;
    let (alice, bob) = (&story.alice, &story.bob);
    let room = story.shared().await;
    let target = json!({"user_id": bob.user_id});
    story.act(alice, &room, "ban", target.clone()).await;
    let since = story.now(bob).await;
    story.act(alice, &room, "unban", target).await;
    let answer = story.sync(bob, &[("since", &since)]).await;
    let event = &left(&answer, &room)["timeline"]["events"][0];
    assert_eq!(event["content"]["membership"], "leave");
    assert_eq!(event["unsigned"]["prev_content"]["membership"], "ban", "{event}");
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn who_was_unbanned_sees_all_from_before_the_ban(pool: PgPool) {
    let story = Story::begin(pool).await;
    let (alice, bob) = (&story.alice, &story.bob);
    let room = story.shared().await;
    let since = story.now(bob).await;
    story.say(alice, &room, "before").await;
    story.set(alice, &room, "m.room.topic", json!({"topic": "before"})).await;
    let target = json!({"user_id": bob.user_id});
    story.act(alice, &room, "ban", target.clone()).await;
    story.say(alice, &room, "unheard").await;
    for name in ["unseen", "unseen too"] {
        story.set(alice, &room, "m.room.name", json!({"name": name})).await;
    }
    story.act(alice, &room, "unban", target).await;
    story.say(alice, &room, "after").await;
    for (limit, after) in [(3, "false"), (100, "false"), (3, "true"), (100, "true")] {
        let filter =
            json!({"room": {"include_leave": true, "timeline": {"limit": limit}}}).to_string();
        let query = [("filter", &*filter), ("use_state_after", after)];
        let answer = story.sync(bob, &query).await;
        let part = left(&answer, &room);
        let told = said(&part["timeline"]);
        // A short timeline has the newest events, of which not all are seen.
        let whole = ["before", "m.room.topic", "m.room.member", "m.room.member"];
        let expect = if limit > 3 { &whole[..] } else { &whole[3..] };
        assert!(told.ends_with(&expect.iter().map(ToString::to_string).collect::<Vec<_>>()));
        assert_eq!(part["timeline"]["limited"] == true, limit == 3, "{part}");
        let text = part.to_string();
        assert!(!text.contains("unseen") && !text.contains("unheard"), "{limit} {after}: {part}");
        assert!(!text.contains("\"after\""), "{part}");
        let events = part["timeline"]["events"].as_array().unwrap();
        assert_eq!(events[events.len() - 1]["content"]["membership"], "leave");
    }
    for after in ["false", "true"] {
        let answer = story.sync(bob, &[("since", &since), ("use_state_after", after)]).await;
        let part = left(&answer, &room);
        let expect = ["before", "m.room.topic", "m.room.member", "m.room.member"];
        assert_eq!(said(&part["timeline"]), expect);
        assert!(!part.to_string().contains("unseen"), "{after}: {part}");
    }
    // Who was never in the room sees the member event alone.
    let carol = story.server.user("carol").await;
    let target = json!({"user_id": carol.user_id});
    story.act(alice, &room, "ban", target.clone()).await;
    story.act(alice, &room, "unban", target).await;
    let answer = story.sync(&carol, &[]).await;
    assert_eq!(said(&left(&answer, &room)["timeline"]), ["m.room.member"]);
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn what_is_for_servers_alone_is_not_told(pool: PgPool) {
    let server = test_server::open(pool).await;
    let alice = server.user("alice").await;
    let room = TestRoom::create(&server, &alice, json!({"preset": "public_chat"})).await;
    let since = token(&sync_at(&server, &alice, &[]).await.ok());
    room.send(&alice, "org.matrix.dummy_event", json!({})).await;
    room.text(&alice, "text").await;
    for query in [vec![], vec![("since", &*since)]] {
        let answer = sync_at(&server, &alice, &query).await.ok();
        let told = said(&answer["rooms"]["join"][&room.id]["timeline"]);
        assert!(!told.iter().any(|name| name == "org.matrix.dummy_event"), "{told:?}");
    }
}
