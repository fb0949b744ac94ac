//! Unread counts.

use serde_json::{Value, json};
use sqlx::PgPool;

use super::{Story, joined, token};

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn messages_count_until_they_are_read(pool: PgPool) {
    let story = Story::begin(pool.clone()).await;
    let (alice, bob) = (&story.alice, &story.bob);
    let room = story.shared().await;
    let since = story.now(bob).await;
    let first = story.say(alice, &room, "one").await;
    story.send(alice, &room, json!({"msgtype": "m.notice", "body": "beep"})).await;
    story.say(alice, &room, "hey bob!").await;
    let thread = json!({"rel_type": "m.thread", "event_id": first});
    story
        .send(alice, &room, json!({"msgtype": "m.text", "body": "t", "m.relates_to": thread}))
        .await;

    let counts = |answer: &serde_json::Value| {
        let unread = &joined(answer, &room)["unread_notifications"];
        (unread["notification_count"].clone(), unread["highlight_count"].clone())
    };
    // The same from memory and from the database, on this node and another.
    let other = crate::test_server::open(pool).await;
    let first_sync = story.sync(bob, &[]).await;
    assert_eq!(counts(&first_sync), (json!(3), json!(1)));
    let answer = story.sync(bob, &[("since", &since)]).await;
    assert_eq!(counts(&answer), (json!(3), json!(1)));
    let elsewhere = super::sync_at(&other, bob, &[("since", &since)]).await.ok();
    assert_eq!(counts(&elsewhere), (json!(3), json!(1)));

    let filter = r#"{"room":{"timeline":{"unread_thread_notifications":true}}}"#;
    let answer = story.sync(bob, &[("since", &since), ("filter", filter)]).await;
    assert_eq!(counts(&answer), (json!(2), json!(1)));
    let threads = &joined(&answer, &room)["unread_thread_notifications"];
    assert_eq!(threads[&first], json!({"highlight_count": 0, "notification_count": 1}));

    // One's own message reads what is before it.
    story.say(bob, &room, "I am here").await;
    story.say(alice, &room, "fine").await;
    let answer = story.sync(bob, &[("since", &token(&answer))]).await;
    assert_eq!(counts(&answer), (json!(1), json!(0)));
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn many_unread_are_counted_without_looking_at_them(pool: PgPool) {
    let story = Story::begin(pool).await;
    let (alice, bob) = (&story.alice, &story.bob);
    let room = story.shared().await;
    for n in 0..130 {
        story.say(alice, &room, &format!("m{n}")).await;
    }
    let answer = story.sync(bob, &[]).await;
    let unread = &joined(&answer, &room)["unread_notifications"];
    assert_eq!(unread["notification_count"], 130);
}

/// Alice says something that a thread can begin with: its event ID, and the content of a reply in that thread.
async fn begin_thread(story: &Story, room: &str) -> (String, Value) {
    let root = story.say(&story.alice, room, "root").await;
    let relation = json!({"rel_type": "m.thread", "event_id": root});
    (root, json!({"msgtype": "m.text", "body": "reply", "m.relates_to": relation}))
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn an_own_message_long_ago_reads_what_was_before_it(pool: PgPool) {
    let story = Story::begin(pool.clone()).await;
    let (alice, bob) = (&story.alice, &story.bob);
    let room = story.shared().await;
    let (root, reply) = begin_thread(&story, &room).await;
    story.send(alice, &room, reply.clone()).await;
    story.say(bob, &room, "I am here").await;
    story.send(alice, &room, reply).await;
    for n in 0..130 {
        story.say(alice, &room, &format!("m{n}")).await;
    }
    let expect = [json!(130), json!(0), json!(1), json!(0)];
    let answer = story.sync(bob, &[("filter", BY_THREAD)]).await;
    assert_eq!(by_thread(&answer, &room, &root), expect);
    story.say(bob, &room, "again").await;
    for n in 0..5 {
        story.say(alice, &room, &format!("m{n}")).await;
    }
    let cold = crate::test_server::open(pool).await;
    let answer = super::sync_at(&cold, bob, &[("filter", BY_THREAD)]).await.ok();
    let expect = [json!(5), json!(0), json!(null), json!(null)];
    assert_eq!(by_thread(&answer, &room, &root), expect, "in the window");
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn what_was_redacted_counts_no_more_however_long_ago(pool: PgPool) {
    let story = Story::begin(pool.clone()).await;
    let (alice, bob) = (&story.alice, &story.bob);
    let room = story.shared().await;
    let (root, reply) = begin_thread(&story, &room).await;
    let replies =
        [story.send(alice, &room, reply.clone()).await, story.send(alice, &room, reply).await];
    let notice = json!({"msgtype": "m.notice", "body": "beep"});
    let notice = story.send(alice, &room, notice).await;
    let (old, older) =
        (story.say(alice, &room, "old").await, story.say(alice, &room, "older").await);
    for n in 0..130 {
        story.say(alice, &room, &format!("m{n}")).await;
    }
    let redact = async |event_id: &str| {
        let path = format!("/_matrix/client/v3/rooms/{room}/redact/{event_id}/{event_id}");
        story.server.put(&path, Some(alice), json!({})).await.ok();
    };
    let counts = |answer: &Value| by_thread(answer, &room, &root);
    let first = story.sync(bob, &[("filter", BY_THREAD)]).await;
    assert_eq!(counts(&first), [json!(133), json!(0), json!(2), json!(0)]);
    redact(&old).await;
    redact(&replies[0]).await;
    redact(&notice).await;
    let expect = [json!(132), json!(0), json!(1), json!(0)];
    let answer = story.sync(bob, &[("since", &token(&first)), ("filter", BY_THREAD)]).await;
    assert_eq!(counts(&answer), expect, "carried on");
    let cold = crate::test_server::open(pool).await;
    let answer = super::sync_at(&cold, bob, &[("filter", BY_THREAD)]).await.ok();
    assert_eq!(counts(&answer), expect, "made");

    // Of the thread more is read than of the rest.
    let path = format!("/_matrix/client/v3/rooms/{room}/receipt/m.read/{}", replies[1]);
    story.server.post(&path, Some(bob), json!({"thread_id": root})).await.ok();
    redact(&older).await;
    redact(&replies[1]).await;
    let answer = story.sync(bob, &[("filter", BY_THREAD)]).await;
    assert_eq!(counts(&answer), [json!(131), json!(0), json!(null), json!(null)]);
}

const BY_THREAD: &str = r#"{"room":{"timeline":{"unread_thread_notifications":true}}}"#;

/// Notifications and highlights, in the main timeline and in a thread.
fn by_thread(answer: &Value, room: &str, root: &str) -> [Value; 4] {
    let main = &joined(answer, room)["unread_notifications"];
    let thread = &joined(answer, room)["unread_thread_notifications"][root];
    let of =
        |count: &Value| ["notification_count", "highlight_count"].map(|key| count[key].clone());
    let ([a, b], [c, d]) = (of(main), of(thread));
    [a, b, c, d]
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn a_mention_is_not_lost_behind_many_messages(pool: PgPool) {
    let story = Story::begin(pool).await;
    let (alice, bob) = (&story.alice, &story.bob);
    let room = story.shared().await;
    let root = story.say(alice, &room, "root").await;
    let mention =
        json!({"msgtype": "m.text", "body": "you", "m.mentions": {"user_ids": [bob.user_id]}});
    story.send(alice, &room, mention).await;
    for n in 0..150 {
        story.say(alice, &room, &format!("m{n}")).await;
    }
    let answer = story.sync(bob, &[("filter", BY_THREAD)]).await;
    assert_eq!(by_thread(&answer, &room, &root), [json!(152), json!(1), json!(null), json!(null)]);
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn many_messages_of_a_thread_count_there(pool: PgPool) {
    let story = Story::begin(pool).await;
    let (alice, bob) = (&story.alice, &story.bob);
    let room = story.shared().await;
    let root = story.say(alice, &room, "root").await;
    let mut last = String::new();
    for n in 0..150 {
        let relation = json!({"rel_type": "m.thread", "event_id": root});
        let reply = json!({"msgtype": "m.text", "body": format!("{n}"), "m.relates_to": relation});
        last = story.send(alice, &room, reply).await;
    }
    let since = story.sync(bob, &[("filter", BY_THREAD)]).await;
    assert_eq!(by_thread(&since, &room, &root), [json!(1), json!(0), json!(150), json!(0)]);
    let read = async |event_id: &str, thread: &str| {
        let path = format!("/_matrix/client/v3/rooms/{room}/receipt/m.read/{event_id}");
        story.server.post(&path, Some(bob), json!({"thread_id": thread})).await.ok();
    };
    read(&last, &root).await;
    let query = [("since", &*token(&since)), ("filter", BY_THREAD)];
    let answer = story.sync(bob, &query).await;
    assert_eq!(by_thread(&answer, &room, &root), [json!(1), json!(0), json!(null), json!(null)]);
    read(&root, "main").await;
    let answer = story.sync(bob, &query).await;
    assert_eq!(by_thread(&answer, &room, &root), [json!(0), json!(0), json!(null), json!(null)]);
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn an_edit_counts_where_its_event_is(pool: PgPool) {
    let story = Story::begin(pool.clone()).await;
    let (alice, bob) = (&story.alice, &story.bob);
    let room = story.shared().await;
    let (root, reply) = begin_thread(&story, &room).await;
    let reply = story.send(alice, &room, reply).await;
    let mentions = json!({"user_ids": [bob.user_id]});
    let edit = json!({"msgtype": "m.text", "body": "* you", "m.mentions": mentions,
        "m.new_content": {"msgtype": "m.text", "body": "you", "m.mentions": mentions},
        "m.relates_to": {"rel_type": "m.replace", "event_id": reply}});
    let since = story.now(bob).await;
    let edit = story.send(alice, &room, edit).await;
    let expect = [json!(1), json!(0), json!(2), json!(1)];
    let answer = story.sync(bob, &[("since", &since), ("filter", BY_THREAD)]).await;
    assert_eq!(by_thread(&answer, &room, &root), expect, "carried on");
    let cold = crate::test_server::open(pool).await;
    let answer = super::sync_at(&cold, bob, &[("filter", BY_THREAD)]).await.ok();
    assert_eq!(by_thread(&answer, &room, &root), expect, "made");

    let path = format!("/_matrix/client/v3/rooms/{room}/receipt/m.read/{edit}");
    story.server.post(&path, Some(bob), json!({"thread_id": root})).await.ok();
    let answer = story.sync(bob, &[("since", &since), ("filter", BY_THREAD)]).await;
    assert_eq!(by_thread(&answer, &room, &root), [json!(1), json!(0), json!(null), json!(null)]);
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn rules_of_ones_own_count_what_was_long_ago(pool: PgPool) {
    let story = Story::begin(pool).await;
    let alice = &story.alice;
    let room = story.create(alice, json!({"preset": "public_chat"})).await;
    let silent = json!({"actions": []});
    let this_room = json!({"kind": "event_match", "key": "room_id", "pattern": room});
    let mute = json!({"actions": [], "conditions": [this_room]});
    let highlight = json!(["notify", {"set_tweak": "highlight"}]);
    let ignored = json!({"ignored_users": {alice.user_id.as_str(): {}}});
    let rule = |name: &str| format!("/_matrix/client/v3/pushrules/global/{name}");
    let list = "/_matrix/client/v3/user/@ignores:example.org/account_data/m.ignored_user_list";
    let wishes = [
        ("mutes", rule("override/mute"), mute, (0, 0)),
        ("mentions", rule(&format!("room/{room}")), silent.clone(), (0, 0)),
        ("nothing", rule("override/.m.rule.master/enabled"), json!({"enabled": true}), (0, 0)),
        ("quiet", rule("underride/.m.rule.message/enabled"), json!({"enabled": false}), (0, 0)),
        ("deaf", rule(&format!("sender/{}", alice.user_id)), silent, (0, 0)),
        ("ignores", list.to_owned(), ignored, (0, 0)),
        (
            "hungry",
            rule("content/cake"),
            json!({"pattern": "cake", "actions": highlight}),
            (521, 1),
        ),
    ];
    let mut users = Vec::new();
    for (name, path, wish, _) in &wishes {
        let user = story.server.user(name).await;
        story.act(&user, &room, "join", json!({})).await;
        story.server.put(path, Some(&user), wish.clone()).await.ok();
        users.push(user);
    }
    story.say(alice, &room, "There is Cake").await;
    for n in 0..520 {
        story.say(alice, &room, &format!("m{n}")).await;
    }
    for (user, (name, _, _, (notifications, highlights))) in users.iter().zip(&wishes) {
        let answer = story.sync(user, &[]).await;
        let unread = &joined(&answer, &room)["unread_notifications"];
        let expect = json!({"notification_count": notifications, "highlight_count": highlights});
        assert_eq!(*unread, expect, "{name}");
    }
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn a_new_name_reads_nothing(pool: PgPool) {
    let story = Story::begin(pool.clone()).await;
    let (alice, bob) = (&story.alice, &story.bob);
    let room = story.shared().await;
    let first = story.say(alice, &room, "first").await;
    let path = format!("/_matrix/client/v3/rooms/{room}/receipt/m.read/{first}");
    story.server.post(&path, Some(bob), json!({})).await.ok();
    story.say(alice, &room, "bob!").await;
    story.say(alice, &room, "second").await;
    let counts = |answer: &Value| joined(answer, &room)["unread_notifications"].clone();
    let expect = json!({"notification_count": 2, "highlight_count": 1});
    assert_eq!(counts(&story.sync(bob, &[]).await), expect);

    let name = format!("/_matrix/client/v3/profile/{}/displayname", bob.user_id);
    story.server.put(&name, Some(bob), json!({"displayname": "Bobby"})).await.ok();
    assert_eq!(counts(&story.sync(bob, &[]).await), expect);
    let cold = crate::test_server::open(pool).await;
    assert_eq!(counts(&super::sync_at(&cold, bob, &[]).await.ok()), expect);
    // Who comes back has not to read what was said meanwhile.
    story.act(bob, &room, "leave", json!({})).await;
    story.say(alice, &room, "unheard").await;
    story.act(bob, &room, "join", json!({})).await;
    story.server.put(&name, Some(bob), json!({"displayname": "Bob"})).await.ok();
    story.say(alice, &room, "welcome").await;
    let expect = json!({"notification_count": 1, "highlight_count": 0});
    assert_eq!(counts(&story.sync(bob, &[]).await), expect);
    cold.hear(&story.server).await;
    assert_eq!(counts(&super::sync_at(&cold, bob, &[]).await.ok()), expect);
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn names_with_other_capitals_are_found_long_ago(pool: PgPool) {
    let story = Story::begin(pool.clone()).await;
    let (alice, bob) = (&story.alice, &story.bob);
    let room = story.shared().await;
    let name = format!("/_matrix/client/v3/profile/{}/displayname", bob.user_id);
    story.server.put(&name, Some(bob), json!({"displayname": "Élan"})).await.ok();
    for spelling in ["Élan", "élan", "ÉLAN"] {
        story.say(alice, &room, &format!("hey {spelling} there")).await;
    }
    for n in 0..110 {
        story.say(alice, &room, &format!("m{n}")).await;
    }
    let cold = crate::test_server::open(pool).await;
    let answer = super::sync_at(&cold, bob, &[]).await.ok();
    let expect = json!({"notification_count": 113, "highlight_count": 3});
    assert_eq!(joined(&answer, &room)["unread_notifications"], expect);
}

/// The counts of a room by a node that knows nothing yet: notifications and highlights.
async fn counted(pool: &PgPool, user: &myelin_testing::TestUser, room: &str) -> [Value; 2] {
    let cold = crate::test_server::open(pool.clone()).await;
    let answer = super::sync_at(&cold, user, &[]).await.ok();
    let unread = &joined(&answer, room)["unread_notifications"];
    ["notification_count", "highlight_count"].map(|key| unread[key].clone())
}

/// Write copies of a room's newest event behind it, which notifies, as other nodes do that were not heard of yet.
async fn repeat_newest(pool: &PgPool, room: &str, times: i64) {
    let statement = "
        WITH r AS (SELECT room_nid, last_pos, notify_ordinal FROM rooms WHERE room_id = $1),
        head AS (UPDATE log_head SET pos = pos + $2 RETURNING pos - $2 AS pos),
        copied AS (
            INSERT INTO events (event_nid, room_nid, pos, depth, origin_server_ts, state_before, state_after, notify_ordinal,
                flags, event_id, event_type, sender, json)
            SELECT -n, r.room_nid, head.pos + n, e.depth, e.origin_server_ts, e.state_before, e.state_after,
                r.notify_ordinal + n, e.flags, e.event_id || n, e.event_type, e.sender, e.json
            FROM r CROSS JOIN head CROSS JOIN generate_series(1, $2) AS n
            JOIN events e ON e.room_nid = r.room_nid AND e.pos = r.last_pos
        )
        UPDATE rooms SET notify_ordinal = r.notify_ordinal + $2, last_pos = head.pos + $2
        FROM r, head WHERE rooms.room_nid = r.room_nid";
    sqlx::query(statement).bind(room).bind(times).execute(pool).await.unwrap();
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn a_mention_is_found_behind_any_number_of_messages(pool: PgPool) {
    let story = Story::begin(pool.clone()).await;
    let (alice, bob) = (&story.alice, &story.bob);
    let room = story.shared().await;
    let mention =
        json!({"msgtype": "m.text", "body": "you", "m.mentions": {"user_ids": [bob.user_id]}});
    story.send(alice, &room, mention).await;
    story.say(alice, &room, "hello").await;
    repeat_newest(&pool, &room, 12_000).await;
    assert_eq!(counted(&pool, bob, &room).await, [json!(12_002), json!(1)]);
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn a_name_is_looked_for_in_what_was_said(pool: PgPool) {
    let story = Story::begin(pool.clone()).await;
    let (alice, bob) = (&story.alice, &story.bob);
    let bobby = story.server.user("bobby").await;
    let room = story.shared().await;
    story.act(&bobby, &room, "join", json!({})).await;
    story.say(alice, &room, "hey bob").await;
    story.say(&bobby, &room, "hello").await;
    repeat_newest(&pool, &room, 700).await;
    assert_eq!(counted(&pool, bob, &room).await, [json!(702), json!(1)]);
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn a_name_with_quotation_marks_is_found_long_ago(pool: PgPool) {
    let story = Story::begin(pool.clone()).await;
    let (alice, bob) = (&story.alice, &story.bob);
    let room = story.shared().await;
    let name = format!("/_matrix/client/v3/profile/{}/displayname", bob.user_id);
    story.server.put(&name, Some(bob), json!({"displayname": "Sir \"B\" \\ X"})).await.ok();
    story.say(alice, &room, "hey sir \"b\" \\ x, come").await;
    let mention =
        json!({"msgtype": "m.text", "body": "you", "m.mentions": {"user_ids": [bob.user_id]}});
    story.send(alice, &room, mention).await;
    story.say(alice, &room, "hello").await;
    repeat_newest(&pool, &room, 130).await;
    assert_eq!(counted(&pool, bob, &room).await, [json!(133), json!(2)]);
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn the_end_of_a_room_counts_once_however_long_ago(pool: PgPool) {
    let story = Story::begin(pool.clone()).await;
    let (alice, bob) = (&story.alice, &story.bob);
    let room = story.shared().await;
    story.say(alice, &room, "we move").await;
    let end = json!({"body": "moved", "replacement_room": "!next:example.org"});
    story.set(alice, &room, "m.room.tombstone", end).await;
    story.say(alice, &room, "hello").await;
    repeat_newest(&pool, &room, 130).await;
    assert_eq!(counted(&pool, bob, &room).await, [json!(133), json!(1)]);
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn who_answers_in_a_thread_has_read_that_thread_alone(pool: PgPool) {
    let story = Story::begin(pool.clone()).await;
    let (alice, bob) = (&story.alice, &story.bob);
    let room = story.shared().await;
    let since = story.now(bob).await;
    let (root, reply) = begin_thread(&story, &room).await;
    story.send(alice, &room, reply.clone()).await;
    let heard = story.say(alice, &room, "hey bob").await;
    story.send(bob, &room, reply.clone()).await;
    let like = json!({"m.relates_to": {"rel_type": "m.annotation", "event_id": heard, "key": "+"}});
    let path = format!("/_matrix/client/v3/rooms/{room}/send/m.reaction/like");
    story.server.put(&path, Some(bob), like).await.ok();
    story.send(alice, &room, reply.clone()).await;
    let expect = [json!(2), json!(1), json!(1), json!(0)];
    let counts = |answer: &Value| by_thread(answer, &room, &root);
    let answer = story.sync(bob, &[("since", &since), ("filter", BY_THREAD)]).await;
    assert_eq!(counts(&answer), expect, "carried on");
    let cold = crate::test_server::open(pool.clone()).await;
    let answer = super::sync_at(&cold, bob, &[("filter", BY_THREAD)]).await.ok();
    assert_eq!(counts(&answer), expect, "made");

    story.say(alice, &room, "more").await;
    repeat_newest(&pool, &room, 130).await;
    let cold = crate::test_server::open(pool).await;
    let answer = super::sync_at(&cold, bob, &[("filter", BY_THREAD)]).await.ok();
    assert_eq!(counts(&answer), [json!(133), json!(1), json!(1), json!(0)], "long ago");
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn notices_and_references_of_a_thread_count_as_they_do_today_however_long_ago(pool: PgPool) {
    let story = Story::begin(pool.clone()).await;
    let (alice, bob) = (&story.alice, &story.bob);
    let room = story.shared().await;
    let (root, reply) = begin_thread(&story, &room).await;
    let mut notice = reply.clone();
    notice["msgtype"] = "m.notice".into();
    let reply = story.send(alice, &room, reply).await;
    for _ in 0..3 {
        story.send(alice, &room, notice.clone()).await;
    }
    let reference = json!({"rel_type": "m.reference", "event_id": reply});
    let content = json!({"msgtype": "m.text", "body": "see", "m.relates_to": reference});
    story.send(alice, &room, content).await;
    let counts = async || {
        let cold = crate::test_server::open(pool.clone()).await;
        let answer = super::sync_at(&cold, bob, &[("filter", BY_THREAD)]).await.ok();
        by_thread(&answer, &room, &root)
    };
    assert_eq!(counts().await, [json!(1), json!(0), json!(2), json!(0)]);
    story.say(alice, &room, "hello").await;
    repeat_newest(&pool, &room, 130).await;
    assert_eq!(counts().await, [json!(132), json!(0), json!(2), json!(0)]);
}
