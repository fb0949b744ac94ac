//! Stories of tokens, and the places that they lead to.

use std::time::{Duration, Instant};

use serde_json::json;
use sqlx::PgPool;

use super::{Story, joined, said, token};

/// The position in a token.
fn position(token: &str) -> u64 {
    token.trim_start_matches('s').split('_').next().unwrap().parse().unwrap()
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn who_waited_in_vain_comes_past_what_others_said(pool: PgPool) {
    let story = Story::begin(pool).await;
    let (alice, bob) = (&story.alice, &story.bob);
    let room = story.create(alice, json!({})).await;
    let since = token(&story.sync(bob, &[("since", &story.now(bob).await)]).await);
    let query = [("since", &*since), ("timeout", "500")];
    let wait = story.sync(bob, &query);
    let talk = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        for n in 0..5 {
            story.say(alice, &room, &format!("m{n}")).await;
        }
    };
    let (answer, ()) = tokio::join!(wait, talk);
    assert!(answer["rooms"].is_null(), "{answer}");
    assert!(position(&token(&answer)) >= position(&since) + 5, "{since} {}", token(&answer));
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn a_token_of_the_future_hides_nothing(pool: PgPool) {
    let story = Story::begin(pool).await;
    let (alice, bob) = (&story.alice, &story.bob);
    let room = story.shared().await;
    let now = story.now(bob).await;
    let started = Instant::now();
    // As after a restore from a backup.
    let answer = story.sync(bob, &[("since", "s99999999_99999999999999")]).await;
    assert!(started.elapsed() < Duration::from_secs(2));
    let since = token(&answer);
    assert!(position(&since) < position(&now) + 100, "{since} {now}");
    story.say(alice, &room, "new").await;
    let answer = story.sync(bob, &[("since", &since)]).await;
    assert_eq!(said(&joined(&answer, &room)["timeline"]), ["new"]);
    // The stamp of what passes, like typing, is bounded by itself.
    let ahead = format!("s{}_99999999999999", position(&since));
    let answer = story.sync(bob, &[("since", &ahead)]).await;
    let stamp = |token: &str| token.split_once('_').unwrap().1.parse::<u64>().unwrap();
    assert!(stamp(&token(&answer)) < 99_999_999_999_999, "{answer}");
    let typing = json!({"typing": true, "timeout": 10_000});
    let path = format!("/_matrix/client/v3/rooms/{room}/typing/{}", alice.user_id);
    story.server.put(&path, Some(alice), typing).await.ok();
    let answer = story.sync(bob, &[("since", &token(&answer))]).await;
    assert_eq!(said(&joined(&answer, &room)["ephemeral"]), ["m.typing"]);
    let path = "/_matrix/client/v3/events?timeout=0&from=s99999999_99999999999999";
    let answer = story.server.get(path, Some(bob)).await.ok();
    assert!(position(answer["end"].as_str().unwrap()) < position(&now) + 100, "{answer}");
}
