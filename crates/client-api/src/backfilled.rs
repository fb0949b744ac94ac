//! History that comes after what followed it is found by who looks back, and told by nobody's stream.

use std::slice::from_ref;

use myelin_engine::{Outcome, Place, Verdict};
use myelin_events::Pdu;
use myelin_testing::{Remote, TestServer, TestUser};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::{
    foreign::{BOB, Foreign},
    test_rooms::{TestRoom, bodies, encode},
    test_server,
};

const V3: &str = "/_matrix/client/v3";

/// The bodies of the messages on the pages of a room, from its end back.
async fn pages(server: &TestServer, room: &str, user: &TestUser) -> Vec<String> {
    let mut found = Vec::new();
    let mut from = String::new();
    loop {
        let path = format!("{V3}/rooms/{}/messages?dir=b&limit=3{from}", encode(room));
        let page = server.get(&path, Some(user)).await.ok();
        found.extend(bodies(&page["chunk"]).into_iter().map(ToOwned::to_owned));
        let Some(end) = page["end"].as_str() else { return found };
        from = format!("&from={end}");
    }
}

async fn sync(server: &TestServer, user: &TestUser, since: &str) -> Value {
    server.get(&format!("{V3}/sync?timeout=0{since}"), Some(user)).await.ok()
}

/// The events that Bob's server has of a room and ours does not: a root, a thread on it, a topic, and the redaction of a message.
struct Past {
    root: Pdu,
    reply: Pdu,
    topic: Pdu,
    regretted: Pdu,
    redaction: Pdu,
}

impl Past {
    fn new(theirs: &mut Foreign) -> Self {
        let end = theirs.end();
        let root = theirs.hold(&Remote::message(BOB, "root", &end).at(21));
        let content = json!({"msgtype": "m.text", "body": "reply",
            "m.relates_to": {"rel_type": "m.thread", "event_id": root.event_id}});
        let reply = Remote::message(BOB, "", from_ref(&root.event_id));
        let reply = theirs.hold(&Remote { content, ..reply });
        let topic = json!({"topic": "then"});
        let topic = Remote::state(BOB, "m.room.topic", "", topic, from_ref(&reply.event_id));
        let topic = theirs.hold(&topic);
        let regretted = Remote::message(BOB, "regretted", from_ref(&topic.event_id));
        let regretted = theirs.hold(&regretted);
        let before = from_ref(&regretted.event_id);
        let redaction = theirs.hold(&Remote::redaction(BOB, &regretted.event_id, before));
        Self { root, reply, topic, regretted, redaction }
    }
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn who_looks_back_finds_what_came_late(pool: PgPool) {
    let server = test_server::open(pool.clone()).await;
    let other = test_server::open(pool).await;
    let alice = server.user("alice").await;
    let levels = json!({"users": {BOB: 50}});
    let body = json!({"preset": "public_chat", "power_level_content_override": levels});
    let room = TestRoom::create(&server, &alice, body).await;
    let mut theirs = Foreign::copy(&room).await;
    let end = theirs.end();
    theirs.send(&server, &Remote::member(BOB, BOB, "join", &end)).await;
    let past = Past::new(&mut theirs);
    let now = theirs.hold(&Remote::message(BOB, "now", from_ref(&past.redaction.event_id)));
    // The topic is an outlier at first, as a part of the state that is told.
    let outlier = theirs.hand(&server, &past.topic, Place::Outlier, &[]).await;
    assert_eq!(outlier, Outcome::Judged(Verdict::Outlier));
    let told = [theirs.state_at(&past.redaction)];
    let outcome = theirs.hand(&server, &now, Place::New, &told).await;
    assert_eq!(outcome, Outcome::Judged(Verdict::Appended));
    for server in [&server, &other] {
        assert_eq!(pages(server, &room.id, &alice).await, ["now"]);
        sync(server, &alice, "").await;
        room_event(server, &room.id, &past.topic, &alice, false).await;
    }
    let since = sync(&other, &alice, "").await["next_batch"].as_str().unwrap().to_owned();

    // The newer page first, in the wrong order, with one event that is here already, and one that nothing follows.
    let stray = Remote::message(BOB, "stray", &past.root.prev_events);
    let stray = theirs.build(&stray);
    let page = [&now, &past.redaction, &stray, &past.regretted];
    let outcomes = theirs.hand_history(&server, &page, &[theirs.state_at(&past.topic)]).await;
    let backfilled = || Outcome::Judged(Verdict::Backfilled);
    assert_eq!(outcomes, [backfilled(), backfilled(), Outcome::Judged(Verdict::Appended)]);
    let page = [&past.topic, &past.reply, &past.root];
    assert_eq!(theirs.hand_history(&other, &page, &[]).await, vec![backfilled(); 3]);

    for server in [&server, &other] {
        assert_eq!(pages(server, &room.id, &alice).await, ["now", "reply", "root"]);
        room_event(server, &room.id, &past.topic, &alice, true).await;
        let regretted = room_event(server, &room.id, &past.regretted, &alice, true).await;
        assert_eq!(regretted["content"], json!({}));
        let relations = format!(
            "{}/rooms/{}/relations/{}",
            V3.replace("v3", "v1"),
            encode(&room.id),
            encode(past.root.event_id.as_str())
        );
        let related = server.get(&relations, Some(&alice)).await.ok();
        assert_eq!(bodies(&related["chunk"]), ["reply"]);
        let context = format!(
            "{V3}/rooms/{}/context/{}",
            encode(&room.id),
            encode(past.reply.event_id.as_str())
        );
        let context = server.get(&context, Some(&alice)).await.ok();
        assert_eq!(bodies(&context["events_before"]), ["root"]);
        let at = format!(
            "{}/rooms/{}/timestamp_to_event?ts=20&dir=f",
            V3.replace("v3", "v1"),
            encode(&room.id)
        );
        let found = server.get(&at, Some(&alice)).await.ok();
        assert_eq!(found["event_id"], past.root.event_id.as_str());
        let news = sync(server, &alice, &format!("&since={since}")).await;
        assert!(news["rooms"]["join"].as_object().is_none_or(|rooms| rooms.is_empty()), "{news}");
    }
}

/// Read an event, which must be there, or must not.
async fn room_event(
    server: &TestServer,
    room: &str,
    pdu: &Pdu,
    user: &TestUser,
    is_there: bool,
) -> Value {
    let path = format!("{V3}/rooms/{}/event/{}", encode(room), encode(pdu.event_id.as_str()));
    let answer = server.get(&path, Some(user)).await;
    assert_eq!(answer.status == 200, is_there, "{}", answer.text);
    answer.body
}
