//! The relations that are bundled with events, sentence by sentence of the specification ("Aggregations of child
//! events", "Validity of replacement events", "Server-side aggregation of …"), on every endpoint that bundles.

use myelin_testing::{TestServer, TestUser};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::{
    test_rooms::{TestRoom, encode},
    test_server,
};

/// The relations that every endpoint bundles with an event: they all agree.
async fn bundled(room: &TestRoom<'_>, user: &TestUser, event_id: &str) -> Value {
    let find = |events: &Value| {
        let mut events = events.as_array().unwrap().iter();
        events.find(|event| event["event_id"] == event_id).unwrap().clone()
    };
    let relations = |event: &Value| without_rooms(event["unsigned"]["m.relations"].clone());
    let id = encode(event_id);
    let alone = relations(&room.get(&format!("event/{id}"), user).await.ok());
    let page = room.get("messages?dir=b&limit=100", user).await.ok();
    assert_eq!(relations(&find(&page["chunk"])), alone, "/messages");
    let context = room.get(&format!("context/{id}?limit=0"), user).await.ok();
    assert_eq!(relations(&context["event"]), alone, "/context");
    let first = find_first(&page);
    let context = room.get(&format!("context/{}?limit=200", encode(&first)), user).await.ok();
    assert_eq!(relations(&find(&context["events_after"])), alone, "/context, beside the event");

    let newest = page["chunk"].as_array().unwrap().iter();
    let limit = 1 + newest.take_while(|event| event["event_id"] != event_id).count();
    let filter = json!({"room": {"timeline": {"limit": limit}}}).to_string();
    let path = format!("/_matrix/client/v3/sync?filter={}", encode(&filter));
    let sync = room.server.get(&path, Some(user)).await.ok();
    let timeline = &sync["rooms"]["join"][&room.id]["timeline"];
    assert_eq!(timeline["limited"], true);
    assert_eq!(relations(&find(&timeline["events"])), alone, "/sync");
    alone
}

/// The oldest event of a page that goes back to the beginning.
fn find_first(page: &Value) -> String {
    page["chunk"].as_array().unwrap().last().unwrap()["event_id"].as_str().unwrap().to_owned()
}

/// Events without the room, which they do not name in `/sync`.
fn without_rooms(value: Value) -> Value {
    match value {
        Value::Object(members) => members
            .into_iter()
            .filter(|(key, _)| key != "room_id")
            .map(|(key, value)| (key, without_rooms(value)))
            .collect(),
        value => value,
    }
}

/// A public room with both in it.
async fn shared<'a>(server: &'a TestServer, alice: &TestUser, bob: &TestUser) -> TestRoom<'a> {
    let room = TestRoom::create(server, alice, json!({"preset": "public_chat"})).await;
    room.join(bob).await;
    room
}

fn relating(rel_type: &str, event_id: &str) -> Value {
    let relation = json!({"rel_type": rel_type, "event_id": event_id, "key": "+"});
    json!({"msgtype": "m.text", "body": rel_type, "m.relates_to": relation})
}

fn editing(event_id: &str) -> Value {
    let mut content = relating("m.replace", event_id);
    content["m.new_content"] = json!({"msgtype": "m.text", "body": "edited"});
    content
}

async fn redact(room: &TestRoom<'_>, user: &TestUser, event_id: &str) {
    let path = room.path(&format!("redact/{}/{}", encode(event_id), encode(event_id)));
    room.server.put(&path, Some(user), json!({})).await.ok();
}

async fn ignore(server: &TestServer, user: &TestUser, ignored: &[&TestUser]) {
    let ignored: serde_json::Map<String, Value> =
        ignored.iter().map(|user| (user.user_id.to_string(), json!({}))).collect();
    let path = format!("/_matrix/client/v3/user/{}/account_data/m.ignored_user_list", user.user_id);
    server.put(&path, Some(user), json!({"ignored_users": ignored})).await.ok();
}

async fn threads(room: &TestRoom<'_>, user: &TestUser, query: &str) -> Vec<Value> {
    let path = room.path(&format!("threads{query}")).replace("/v3/", "/v1/");
    let page = room.server.get(&path, Some(user)).await.ok();
    page["chunk"].as_array().unwrap().clone()
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn only_valid_edits_are_bundled(pool: PgPool) {
    let server = test_server::open(pool).await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = shared(&server, &alice, &bob).await;
    let text = room.text(&alice, "text").await;
    let message = "m.room.message";
    let mut not_an_object = editing(&text);
    not_an_object["m.new_content"] = json!("edited");
    for (user, event_type, content, why) in [
        (&bob, message, editing(&text), "another sender"),
        (&alice, "org.example", editing(&text), "another type"),
        (&alice, "m.room.encrypted", editing(&text), "an encrypted edit of what was not"),
        (&alice, message, relating("m.replace", &text), "no new content"),
        (&alice, message, not_an_object, "a new content that is none"),
        (&alice, message, relating("m.annotation", &text), "annotations are not aggregated"),
    ] {
        room.send(user, event_type, content).await;
        assert_eq!(bundled(&room, &alice, &text).await, Value::Null, "{why}");
    }

    let edit = room.send(&alice, message, editing(&text)).await;
    let of_edit = room.send(&alice, message, editing(&edit)).await;
    room.send(&bob, message, relating("m.reference", &edit)).await;
    assert_eq!(bundled(&room, &bob, &edit).await, Value::Null, "an edit of an edit");
    assert_eq!(bundled(&room, &bob, &of_edit).await, Value::Null);
    let relations = bundled(&room, &bob, &text).await;
    assert_eq!(relations["m.replace"]["event_id"], edit.as_str());
    assert_eq!(relations["m.replace"]["content"], editing(&text), "the whole event");
    let event = room.get(&format!("event/{}", encode(&text)), &bob).await.ok();
    assert_eq!(event["content"]["body"], "text", "the content is left as it is");

    let state = room.set_state(&alice, "org.example", json!({})).await;
    room.send(&alice, "org.example", editing(&state)).await;
    room.send(&alice, message, relating("m.reference", &state)).await;
    assert_eq!(bundled(&room, &bob, &state).await, Value::Null, "state");

    let secret = room.send(&alice, "m.room.encrypted", json!({"ciphertext": "x"})).await;
    let hidden = room.send(&alice, "m.room.encrypted", relating("m.replace", &secret)).await;
    let relations = bundled(&room, &bob, &secret).await;
    assert_eq!(relations["m.replace"]["event_id"], hidden.as_str(), "what is new is encrypted");
    let other = shared(&server, &alice, &bob).await;
    let path = other.path("send/m.room.message/other");
    let refused = server.put(&path, Some(&alice), editing(&text)).await;
    assert_eq!(refused.error(), (400, "M_UNKNOWN"), "another room");
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn the_most_recent_edit_counts_and_a_redacted_one_does_not(pool: PgPool) {
    let server = test_server::open(pool).await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = shared(&server, &alice, &bob).await;
    let text = room.text(&alice, "text").await;
    let edit = async || room.send(&alice, "m.room.message", editing(&text)).await;
    let of = async || {
        let relations = bundled(&room, &bob, &text).await;
        relations["m.replace"]["event_id"].as_str().map(ToOwned::to_owned)
    };
    // The clock stands still: both are as old.
    let mut same = [edit().await, edit().await];
    same.sort();
    let [lesser, greater] = same;
    assert_eq!(of().await.as_ref(), Some(&greater), "the greater event ID");
    server.parts.clock.advance_ms(1);
    let newest = edit().await;
    assert_eq!(of().await.as_ref(), Some(&newest));
    redact(&room, &alice, &newest).await;
    assert_eq!(of().await.as_ref(), Some(&greater));
    redact(&room, &alice, &greater).await;
    assert_eq!(of().await.as_ref(), Some(&lesser));

    // Other relations outlive the content of what they relate to.
    let reference = room.send(&bob, "m.room.message", relating("m.reference", &text)).await;
    let reply = room.send(&bob, "m.room.message", relating("m.thread", &text)).await;
    redact(&room, &alice, &text).await;
    let relations = bundled(&room, &bob, &text).await;
    assert_eq!(relations["m.replace"], Value::Null);
    assert_eq!(relations["m.reference"], json!({"chunk": [{"event_id": reference}]}));
    assert_eq!(relations["m.thread"]["latest_event"]["event_id"], reply.as_str());
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn a_thread_has_its_newest_event_a_count_and_who_took_part(pool: PgPool) {
    let server = test_server::open(pool).await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let carol = server.user("carol").await;
    let room = shared(&server, &alice, &bob).await;
    room.join(&carol).await;
    let root = room.text(&alice, "root").await;
    let reply = async |user| room.send(user, "m.room.message", relating("m.thread", &root)).await;
    let first = reply(&bob).await;
    let second = reply(&bob).await;
    for (user, participated) in [(&alice, true), (&bob, true), (&carol, false)] {
        let thread = &bundled(&room, user, &root).await["m.thread"];
        assert_eq!(thread["latest_event"]["event_id"], second.as_str());
        assert_eq!(thread["count"], 2);
        assert_eq!(thread["current_user_participated"], participated);
    }

    // What relates to the newest event stands there, too; wherever else the event is found.
    let edit = room.send(&bob, "m.room.message", editing(&second)).await;
    let reference = room.send(&carol, "m.room.message", relating("m.reference", &second)).await;
    let latest = bundled(&room, &carol, &root).await["m.thread"]["latest_event"].clone();
    let inner = &latest["unsigned"]["m.relations"];
    assert_eq!(inner["m.replace"]["event_id"], edit.as_str());
    assert_eq!(inner["m.reference"], json!({"chunk": [{"event_id": reference}]}));
    assert_eq!(&bundled(&room, &carol, &second).await, inner);
    for path in ["", "/m.thread", "/m.thread/m.room.message"] {
        let path = room.path(&format!("relations/{}{path}", encode(&root)));
        let page = server.get(&path.replace("/v3/", "/v1/"), Some(&carol)).await.ok();
        let child = &page["chunk"][0];
        assert_eq!(child["event_id"], second.as_str());
        assert_eq!(&without_rooms(child["unsigned"]["m.relations"].clone()), inner, "{path}");
    }
    let listed = &threads(&room, &carol, "").await[0];
    let thread = &bundled(&room, &carol, &root).await["m.thread"];
    assert_eq!(&without_rooms(listed["unsigned"]["m.relations"]["m.thread"].clone()), thread);

    redact(&room, &bob, &second).await;
    let thread = &bundled(&room, &carol, &root).await["m.thread"];
    assert_eq!((&thread["count"], &thread["latest_event"]["event_id"]), (&json!(1), &json!(first)));
    redact(&room, &bob, &first).await;
    assert_eq!(bundled(&room, &carol, &root).await, Value::Null);
    assert_eq!(threads(&room, &carol, "").await, Vec::<Value>::new());

    let reaction = room.send(&bob, "m.reaction", relating("m.annotation", &root)).await;
    for related in [&reaction, &edit, &reference, &reply(&carol).await] {
        let path = room.path(&format!("send/m.room.message/on_{}", encode(related)));
        let refused = server.put(&path, Some(&bob), relating("m.thread", related)).await;
        assert_eq!(refused.error(), (400, "M_UNKNOWN"), "a thread on what relates to another");
    }
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn what_the_ignored_sent_is_not_aggregated(pool: PgPool) {
    let server = test_server::open(pool).await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let carol = server.user("carol").await;
    let room = shared(&server, &alice, &bob).await;
    room.join(&carol).await;
    let (root, silent) = (room.text(&alice, "root").await, room.text(&alice, "silent").await);
    let theirs = room.text(&bob, "begun by the ignored").await;
    let relate = async |user, rel_type: &str, to: &str| {
        room.send(user, "m.room.message", relating(rel_type, to)).await
    };
    let heard = relate(&carol, "m.thread", &root).await;
    relate(&bob, "m.thread", &root).await;
    relate(&bob, "m.thread", &silent).await;
    let unheard = room.text(&bob, "begun and answered by the ignored").await;
    relate(&bob, "m.thread", &unheard).await;
    let on_theirs = relate(&carol, "m.thread", &theirs).await;
    let reference = relate(&carol, "m.reference", &root).await;
    relate(&bob, "m.reference", &root).await;
    room.send(&bob, "m.room.message", editing(&theirs)).await;
    relate(&bob, "m.thread", &root).await;
    ignore(&server, &alice, &[&bob]).await;

    let relations = bundled(&room, &alice, &root).await;
    let thread = &relations["m.thread"];
    assert_eq!((&thread["count"], &thread["latest_event"]["event_id"]), (&json!(1), &json!(heard)));
    assert_eq!(relations["m.reference"], json!({"chunk": [{"event_id": reference}]}));
    assert_eq!(bundled(&room, &alice, &silent).await, Value::Null, "only the ignored spoke");
    assert_eq!(bundled(&room, &carol, &root).await["m.thread"]["count"], 3);

    let listed = threads(&room, &alice, "").await;
    let ids: Vec<&str> = listed.iter().map(|root| root["event_id"].as_str().unwrap()).collect();
    assert_eq!(ids, [&*root, &theirs, &silent], "by what is newest in them");
    assert_eq!(listed[1]["content"], json!({}), "the root stands there redacted");
    assert_eq!(listed[1]["sender"], bob.user_id.as_str());
    let nothing = &listed[2]["unsigned"]["m.relations"]["m.thread"];
    assert_eq!(*nothing, Value::Null, "only the ignored spoke");
    let relations = &listed[1]["unsigned"]["m.relations"];
    assert_eq!(relations["m.thread"]["latest_event"]["event_id"], on_theirs.as_str());
    assert_eq!(relations["m.replace"], Value::Null);
    assert_eq!(threads(&room, &alice, "?include=participated").await.len(), 2);
    assert_eq!(threads(&room, &carol, "?include=participated").await.len(), 2);
    assert_eq!(threads(&room, &bob, "").await.len(), 4);
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn state_relates_to_events_and_replaces_none(pool: PgPool) {
    let server = test_server::open(pool).await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = shared(&server, &alice, &bob).await;
    let text = room.text(&alice, "text").await;
    let set = async |key: &str, content: Value| {
        let path = room.path(&format!("state/org.example.state/{key}"));
        server.put(&path, Some(&alice), content).await.ok()["event_id"].clone()
    };
    let reference = set("a", relating("m.reference", &text)).await;
    let custom = set("b", relating("org.example", &text)).await;
    set("c", editing(&text)).await;

    assert_eq!(
        bundled(&room, &alice, &text).await,
        json!({"m.reference": {"chunk": [{"event_id": reference}]}})
    );
    let path = room.path(&format!("relations/{text}")).replace("/v3/", "/v1/");
    let chunk = server.get(&path, Some(&bob)).await.ok()["chunk"].clone();
    let ids: Vec<&Value> =
        chunk.as_array().unwrap().iter().map(|event| &event["event_id"]).collect();
    assert_eq!(ids, [&custom, &reference]);
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn references_stand_in_their_order(pool: PgPool) {
    let server = test_server::open(pool).await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = shared(&server, &alice, &bob).await;
    let text = room.text(&alice, "text").await;
    let mut sent = Vec::new();
    for event_type in ["m.room.message", "m.key.verification.start", "org.example"] {
        sent.push(room.send(&bob, event_type, relating("m.reference", &text)).await);
    }
    redact(&room, &bob, &sent.remove(1)).await;
    let chunk: Vec<Value> = sent.iter().map(|event_id| json!({"event_id": event_id})).collect();
    assert_eq!(bundled(&room, &alice, &text).await, json!({"m.reference": {"chunk": chunk}}));
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn what_happened_after_a_user_left_is_not_aggregated(pool: PgPool) {
    let server = test_server::open(pool).await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = shared(&server, &alice, &bob).await;
    let root = room.text(&alice, "root").await;
    let reply = async || room.send(&alice, "m.room.message", relating("m.thread", &root)).await;
    let before = reply().await;
    room.leave(&bob).await;
    reply().await;
    let late = room.text(&alice, "late").await;
    room.send(&alice, "m.room.message", relating("m.thread", &late)).await;
    room.send(&alice, "m.room.message", editing(&root)).await;
    let event = room.get(&format!("event/{}", encode(&root)), &bob).await.ok();
    let relations = &event["unsigned"]["m.relations"];
    assert_eq!(relations["m.thread"]["count"], 1);
    assert_eq!(relations["m.thread"]["latest_event"]["event_id"], before.as_str());
    assert_eq!(relations["m.replace"], Value::Null);
    let listed = threads(&room, &bob, "").await;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0]["unsigned"]["m.relations"]["m.thread"]["count"], 1);
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn what_a_user_missed_between_two_visits_is_not_shown(pool: PgPool) {
    let server = test_server::open(pool).await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = TestRoom::visible(&server, &alice, "joined").await;
    room.join(&bob).await;
    let root = room.text(&alice, "root").await;
    let reply = async || room.send(&alice, "m.room.message", relating("m.thread", &root)).await;
    let before = reply().await;
    room.leave(&bob).await;
    let missed = reply().await;
    room.send(&alice, "m.room.message", editing(&root)).await;
    room.join(&bob).await;
    let relations =
        room.get(&format!("event/{}", encode(&root)), &bob).await.ok()["unsigned"]["m.relations"]
            .clone();
    assert_eq!(relations["m.thread"]["latest_event"]["event_id"], before.as_str());
    assert_eq!(relations["m.replace"], Value::Null);
    let filter = encode(r#"{"room":{"timeline":{"limit":6}}}"#);
    let path = format!("/_matrix/client/v3/sync?filter={filter}");
    let answer = server.get(&path, Some(&bob)).await.ok();
    assert!(answer["rooms"]["join"][&room.id].is_object());
    assert!(!answer.to_string().contains(&missed), "{answer}");
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn what_is_bundled_has_its_age_and_the_transaction_of_its_sender(pool: PgPool) {
    let server = test_server::open(pool).await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = shared(&server, &alice, &bob).await;
    let root = room.text(&alice, "root").await;
    for (txn, content) in [("edit", editing(&root)), ("reply", relating("m.thread", &root))] {
        let path = room.path(&format!("send/m.room.message/{txn}"));
        server.put(&path, Some(&alice), content).await.ok();
    }
    server.parts.clock.advance_ms(7_000);
    for (user, edit, reply) in
        [(&alice, json!("edit"), json!("reply")), (&bob, json!(null), json!(null))]
    {
        let relations = bundled(&room, user, &root).await;
        let unsigned = [&relations["m.replace"], &relations["m.thread"]["latest_event"]];
        let unsigned = unsigned.map(|event| &event["unsigned"]);
        assert_eq!(unsigned.map(|unsigned| &unsigned["age"]), [&json!(7_000), &json!(7_000)]);
        assert_eq!(unsigned.map(|unsigned| &unsigned["transaction_id"]), [&edit, &reply]);
    }
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn a_nul_character_elsewhere_keeps_no_relation_from_counting(pool: PgPool) {
    let server = test_server::open(pool).await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = shared(&server, &alice, &bob).await;
    let root = room.text(&alice, "root").await;
    let send = async |event_type: &str, txn: &str, content: Value| {
        let path = room.path(&format!("send/{event_type}/{txn}"));
        server.put(&path, Some(&alice), content).await
    };
    // The character itself, and a text that only looks like it.
    for (txn, text) in [("t1", "\0"), ("t2", "\\u0000"), ("t3", "\\\0\0")] {
        let thread = json!({"rel_type": "m.thread", "event_id": root});
        let reply = json!({"msgtype": "m.text", "body": text, "m.relates_to": thread});
        send("m.room.message", txn, reply).await.ok();
    }
    assert_eq!(bundled(&room, &bob, &root).await["m.thread"]["count"], 3);

    let reaction = |more: &str| {
        let relation = json!({"rel_type": "m.annotation", "event_id": root, "key": "k"});
        json!({"m.relates_to": relation, "more": more})
    };
    send("m.reaction", "t4", reaction("\0")).await.ok();
    for (txn, more) in [("t5", "\0"), ("t6", "none")] {
        let again = send("m.reaction", txn, reaction(more)).await;
        assert_eq!(again.error(), (400, "M_DUPLICATE_ANNOTATION"));
    }
    let new = json!({"msgtype": "m.text", "body": "new\0"});
    let edit = json!({"msgtype": "m.text", "body": "* new", "m.new_content": new,
        "m.relates_to": {"rel_type": "m.replace", "event_id": root}});
    send("m.room.message", "t7", edit).await.ok();
    let edited = bundled(&room, &bob, &root).await;
    assert_eq!(edited["m.replace"]["content"]["m.new_content"]["body"], "new\0");
}
