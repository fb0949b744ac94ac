//! Unread counts.

use serde_json::json;
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
