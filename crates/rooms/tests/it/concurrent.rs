//! Many senders in one room, through several nodes.

use std::{collections::HashSet, time::Duration};

use myelin_events::{Pdu, RoomVersion};
use myelin_model::StreamPos;
use myelin_rooms::Rooms;
use ruma::{OwnedEventId, RoomId};
use sqlx::PgPool;

use crate::fixture::{join, node, public_room, say, user};

/// All events of a room, each after the one that it names as its only predecessor; positions rise.
async fn check_linear(rooms: &Rooms, room_id: &RoomId) -> Vec<OwnedEventId> {
    let db = rooms.db();
    let head = db.heads().find(room_id).await.unwrap().unwrap();
    let events = db
        .events()
        .list_page(head.room_nid, StreamPos::ZERO, StreamPos(i64::MAX), false, 100_000)
        .await
        .unwrap();
    let mut last: Option<OwnedEventId> = None;
    let mut last_pos = StreamPos::ZERO;
    let mut ordinal = 0;
    for event in &events {
        let pdu =
            Pdu::from_stored(event.event_id.clone(), event.json.clone(), RoomVersion::V12).unwrap();
        assert_eq!(pdu.prev_events.to_vec(), last.into_iter().collect::<Vec<_>>());
        assert!(event.pos.unwrap() > last_pos);
        assert!(event.notify_ordinal >= ordinal && event.notify_ordinal <= ordinal + 1);
        last = Some(event.event_id.clone());
        last_pos = event.pos.unwrap();
        ordinal = event.notify_ordinal;
    }
    assert_eq!(head.extremities.len(), 1);
    assert_eq!(Some(&head.extremities[0].event_id), last.as_ref());
    events.iter().map(|event| event.event_id.clone()).collect()
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn what_many_send_through_two_nodes_is_there_once_and_in_line(pool: PgPool) {
    const TASKS: usize = 12;
    const EVENTS: usize = 25;
    let nodes = [node(&pool).await, node(&pool).await];
    let alice = user("alice");
    let room_id = public_room(&nodes[0], &alice).await;

    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..TASKS {
        let (rooms, room_id) = (nodes[task % 2].clone(), room_id.clone());
        tasks.spawn(async move {
            let session = user(&format!("user{task}"));
            // State events among the messages.
            join(&rooms, &session, &room_id).await;
            let mut sent = Vec::new();
            for event in 0..EVENTS {
                sent.push(say(&rooms, &session, &room_id, &event.to_string()).await);
            }
            sent
        });
    }
    let mut sent = HashSet::new();
    while let Some(done) = tasks.join_next().await {
        for event_id in done.unwrap() {
            assert!(sent.insert(event_id), "an event ID came twice");
        }
    }
    assert_eq!(sent.len(), TASKS * EVENTS);

    let end = nodes[0].db().log().applied().max(nodes[1].db().log().applied());
    for rooms in &nodes {
        assert!(rooms.db().log().wait_for(end, Duration::from_secs(10)).await);
        let stored = check_linear(rooms, &room_id).await;
        let stored: HashSet<OwnedEventId> = stored.into_iter().collect();
        assert!(sent.is_subset(&stored));
        // create, member, power levels, join rule, history visibility; and who joined.
        assert_eq!(stored.len(), 5 + TASKS + TASKS * EVENTS);
    }
    // A node that starts now sees the same.
    check_linear(&node(&pool).await, &room_id).await;
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn senders_on_one_node_share_batches(pool: PgPool) {
    const TASKS: usize = 50;
    let rooms = node(&pool).await;
    let alice = user("alice");
    let room_id = public_room(&rooms, &alice).await;
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..TASKS {
        let (rooms, room_id, alice) = (rooms.clone(), room_id.clone(), alice.clone());
        tasks.spawn(async move { say(&rooms, &alice, &room_id, &task.to_string()).await });
    }
    assert_eq!(tasks.join_all().await.len(), TASKS);
    assert_eq!(check_linear(&rooms, &room_id).await.len(), 5 + TASKS);
}
