//! The number of queries that an answer takes.

use myelin_testing::Statements;
use serde_json::{Value, json};
use sqlx::PgPool;

use super::{Story, joined, said, token};

/// Run `request` and count its statements.
async fn counted<T>(request: impl Future<Output = T>) -> (T, usize) {
    let statements = Statements::start();
    let answer = request.await;
    (answer, statements.count())
}

const OFFLINE: (&str, &str) = ("set_presence", "offline");
const LAZY: (&str, &str) = ("filter", r#"{"room":{"state":{"lazy_load_members":true}}}"#);

async fn rooms(story: &Story, count: usize) -> Vec<String> {
    let mut rooms = Vec::new();
    for _ in 0..count {
        rooms.push(story.shared().await);
    }
    rooms
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn a_first_sync_takes_ten_queries_whatever_the_rooms(pool: PgPool) {
    let story = Story::begin(pool.clone()).await;
    let rooms = rooms(&story, 15).await;
    for room in &rooms {
        story.say(&story.alice, room, "hello bob").await;
    }
    let someone = story.server.user("someone").await;
    for query in [vec![OFFLINE], vec![OFFLINE, LAZY]] {
        // A node that knows nothing yet, but for the user's token.
        let cold = crate::test_server::open(pool.clone()).await;
        super::sync_at(&cold, &someone, &[OFFLINE]).await.ok();
        cold.get("/_matrix/client/v3/account/whoami", Some(&story.bob)).await.ok();
        let (answer, statements) = counted(super::sync_at(&cold, &story.bob, &query)).await;
        let answer = answer.ok();
        assert_eq!(answer["rooms"]["join"].as_object().map(|rooms| rooms.len()), Some(15));
        assert!((4..=10).contains(&statements), "{statements} statements");
    }
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn who_keeps_up_takes_none(pool: PgPool) {
    let story = Story::begin(pool).await;
    let rooms = rooms(&story, 12).await;
    let busy = &rooms[4];
    let mut since = story.now(&story.bob).await;
    // The first time loads what the busy room needs.
    story.say(&story.alice, busy, "first").await;
    since = token(&story.sync(&story.bob, &[OFFLINE, ("since", &since)]).await);
    for query in [vec![OFFLINE], vec![OFFLINE, LAZY]] {
        for n in 0..3 {
            story.say(&story.alice, busy, &format!("m{n}")).await;
            let query: Vec<_> = [&*query, &[("since", &*since)]].concat();
            let (answer, statements) = counted(story.sync(&story.bob, &query)).await;
            assert_eq!(said(&joined(&answer, busy)["timeline"]), [format!("m{n}")]);
            assert_eq!(answer["rooms"]["join"].as_object().unwrap().len(), 1);
            if n > 0 {
                assert_eq!(statements, 0, "{query:?}");
            }
            since = token(&answer);
        }
    }
    let query = [OFFLINE, ("since", &*since)];
    let (answer, statements) = counted(story.sync(&story.bob, &query)).await;
    assert_eq!((answer["rooms"].clone(), statements), (Value::Null, 0));
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn who_comes_costs_no_query(pool: PgPool) {
    let story = Story::begin(pool).await;
    let room = story.shared().await;
    let carol = story.server.user("carol").await;
    // The first time loads what the room needs.
    let mut since = story.now(&story.bob).await;
    for (what, members, most) in
        [("join", 3, None), ("leave", 2, None), ("join", 3, Some(0)), ("leave", 2, Some(1))]
    {
        story.act(&carol, &room, what, json!({})).await;
        let query = [OFFLINE, ("since", &*since)];
        let (answer, statements) = counted(story.sync(&story.bob, &query)).await;
        let part = joined(&answer, &room);
        assert_eq!(part["summary"]["m.joined_member_count"], members);
        assert_eq!(part["summary"]["m.heroes"].as_array().map(Vec::len), Some(members - 1));
        let lists = &answer["device_lists"];
        let list = if what == "join" { "changed" } else { "left" };
        assert_eq!(lists[list], json!([carol.user_id]), "{what}");
        // Whether someone who left is met elsewhere is asked of the database.
        assert!(most.is_none_or(|most| statements <= most), "{what}: {statements} statements");
        since = token(&answer);
    }
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn who_was_away_for_long_takes_ten(pool: PgPool) {
    let story = Story::begin(pool.clone()).await;
    let rooms = rooms(&story, 12).await;
    let since = story.now(&story.bob).await;
    for room in &rooms {
        for n in 0..14 {
            story.say(&story.alice, room, &format!("m{n}")).await;
        }
    }
    story.set(&story.alice, &rooms[0], "m.room.topic", json!({"topic": "new"})).await;
    let cold = crate::test_server::open(pool).await;
    super::sync_at(&cold, &story.server.user("someone").await, &[OFFLINE]).await.ok();
    cold.get("/_matrix/client/v3/account/whoami", Some(&story.bob)).await.ok();
    let query = [OFFLINE, ("since", &*since)];
    let (answer, statements) = counted(super::sync_at(&cold, &story.bob, &query)).await;
    let answer = answer.ok();
    assert_eq!(answer["rooms"]["join"].as_object().map(|rooms| rooms.len()), Some(12));
    let part = joined(&answer, &rooms[1]);
    assert_eq!(part["timeline"]["limited"], true);
    assert_eq!(said(&part["timeline"]).len(), 10);
    assert_eq!(part["unread_notifications"]["notification_count"], 14);
    assert!(statements <= 10, "{statements} statements");
}
