//! Two nodes on one database.

use std::time::{Duration, Instant};

use sqlx::PgPool;

use super::{Story, joined, said, sync_at, token};
use crate::test_server;

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn what_is_sent_through_one_arrives_at_the_other(pool: PgPool) {
    let story = Story::begin(pool.clone()).await;
    let other = test_server::open(pool).await;
    let room = story.shared().await;
    // The other node is as far as the first when it answers to a token of the first.
    let since = story.now(&story.bob).await;
    let mut since = token(&sync_at(&other, &story.bob, &[("since", &since)]).await.ok());

    let say = async {
        for n in 0..30 {
            story.say(&story.alice, &room, &format!("m{n}")).await;
        }
        Instant::now()
    };
    let hear = async {
        let mut heard = Vec::new();
        while heard.len() < 30 {
            let filter = r#"{"room":{"timeline":{"limit":100}}}"#;
            let query = [("since", &*since), ("timeout", "10000"), ("filter", filter)];
            let answer = sync_at(&other, &story.bob, &query).await.ok();
            heard.extend(said(&joined(&answer, &room)["timeline"]));
            since = token(&answer);
        }
        (heard, Instant::now())
    };
    let (said_at, (heard, heard_at)) = tokio::join!(say, hear);
    let expect: Vec<String> = (0..30).map(|n| format!("m{n}")).collect();
    assert_eq!(heard, expect, "in order, each once");
    assert!(heard_at.saturating_duration_since(said_at) < Duration::from_secs(2));

    // A token from the one is good at the other at once.
    story.say(&story.alice, &room, "last").await;
    let ahead = token(&story.sync(&story.alice, &[]).await);
    let answer = sync_at(&other, &story.alice, &[("since", &ahead)]).await.ok();
    assert!(answer["rooms"].is_null(), "{answer}");
}
