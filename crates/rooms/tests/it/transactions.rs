//! The same request, made again.

use std::time::Duration;

use sqlx::PgPool;

use crate::fixture::{node, public_room, say, user, user_on};

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn a_repeated_request_makes_no_second_event(pool: PgPool) {
    let (here, there) = (node(&pool).await, node(&pool).await);
    let alice = user("alice");
    let room_id = public_room(&here, &alice).await;
    let first = say(&here, &alice, &room_id, "t").await;

    assert_eq!(say(&here, &alice, &room_id, "t").await, first);
    assert_eq!(say(&there, &alice, &room_id, "t").await, first);
    let third = node(&pool).await;
    assert_eq!(say(&third, &alice, &room_id, "t").await, first);
    let other_device = user_on("alice", "OTHER");
    assert_ne!(say(&here, &other_device, &room_id, "t").await, first);
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn requests_at_the_same_time_make_one_event(pool: PgPool) {
    let nodes = [node(&pool).await, node(&pool).await];
    let alice = user("alice");
    let room_id = public_room(&nodes[0], &alice).await;
    let end = nodes[0].db.log().applied();
    assert!(nodes[1].db.log().wait_for(end, Duration::from_secs(10)).await);

    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..16 {
        let (rooms, room_id, alice) = (nodes[task % 2].clone(), room_id.clone(), alice.clone());
        tasks.spawn(async move { say(&rooms, &alice, &room_id, "t").await });
    }
    let sent = tasks.join_all().await;
    assert!(sent.iter().all(|event_id| *event_id == sent[0]), "{sent:?}");
}
