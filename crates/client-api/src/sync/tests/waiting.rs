//! Waiting for news.

use std::time::{Duration, Instant};

use serde_json::json;
use sqlx::PgPool;

use super::{Story, joined, said, token};

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn news_wakes_at_once_and_silence_lasts(pool: PgPool) {
    let story = Story::begin(pool).await;
    let (alice, bob) = (&story.alice, &story.bob);
    let room = story.shared().await;
    // The second time nothing of the first is left: presence came by then.
    let since = token(&story.sync(bob, &[("since", &story.now(bob).await)]).await);

    let started = Instant::now();
    let query = [("since", &*since), ("timeout", "20000")];
    let wait = story.sync(bob, &query);
    let say = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        story.say(alice, &room, "wake up").await;
        Instant::now()
    };
    let (answer, said_at) = tokio::join!(wait, say);
    assert_eq!(said(&joined(&answer, &room)["timeline"]), ["wake up"]);
    assert!(started.elapsed() >= Duration::from_millis(300));
    assert!(said_at.elapsed() < Duration::from_millis(500), "{:?}", said_at.elapsed());

    let since = token(&answer);
    let started = Instant::now();
    let answer = story.sync(bob, &[("since", &since), ("timeout", "400")]).await;
    assert!(started.elapsed() >= Duration::from_millis(400));
    assert_eq!(answer["rooms"], json!(null));
    let started = Instant::now();
    story.sync(bob, &[("since", &token(&answer)), ("timeout", "0")]).await;
    assert!(started.elapsed() < Duration::from_millis(300));
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn joining_and_inviting_wake(pool: PgPool) {
    let story = Story::begin(pool).await;
    let (alice, bob) = (&story.alice, &story.bob);
    let room = story.create(alice, json!({})).await;
    let since = story.now(bob).await;
    let query = [("since", &*since), ("timeout", "20000")];
    let wait = story.sync(bob, &query);
    let invite = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        story.act(alice, &room, "invite", json!({"user_id": bob.user_id})).await;
    };
    let (answer, ()) = tokio::join!(wait, invite);
    assert!(answer["rooms"]["invite"][&room].is_object(), "{answer}");
    let since = token(&answer);
    let query = [("since", &*since), ("timeout", "20000")];
    let wait = story.sync(bob, &query);
    let join = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        story.act(bob, &room, "join", json!({})).await;
    };
    let (answer, ()) = tokio::join!(wait, join);
    assert!(joined(&answer, &room).is_object());
    let since = token(&answer);
    let query = [("since", &*since), ("timeout", "20000")];
    let wait = story.sync(bob, &query);
    let kick = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        story.act(alice, &room, "kick", json!({"user_id": bob.user_id})).await;
    };
    let (answer, ()) = tokio::join!(wait, kick);
    assert!(answer["rooms"]["leave"][&room].is_object(), "{answer}");
}
