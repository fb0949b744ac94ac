//! Many senders in one room, through several nodes.

use std::{collections::HashSet, time::Duration};

use myelin_engine::RelationError;
use myelin_events::{Pdu, RoomVersion};
use myelin_model::{EventFlags, StreamPos, limits::PREV_EVENTS_MAX};
use myelin_rooms::{
    EventError,
    send::{NewMessage, SendError, send},
};
use ruma::{OwnedEventId, RoomId};
use sqlx::PgPool;

use crate::fixture::{Node, join, node, public_room, say, user};

/// A room's events as they stand in the log.
struct Graph {
    events: Vec<OwnedEventId>,
    /// The most forward extremities that there were at once.
    width: usize,
}

/// Read a room, and check that every event follows events before it, that positions rise, and that the head is what follows from the
/// events.
async fn read_graph(node: &Node, room_id: &RoomId) -> Graph {
    let db = &node.db;
    let head = db.heads().find(room_id).await.unwrap().unwrap();
    let events = db
        .events()
        .list_page(head.room_nid, StreamPos::ZERO, StreamPos(i64::MAX), false, 100_000)
        .await
        .unwrap();
    // What another node appended last may not be applied here yet.
    let end = events.last().and_then(|event| event.pos).unwrap_or_default();
    assert!(db.log().wait_for(end, Duration::from_secs(10)).await);
    let head = db.heads().find(room_id).await.unwrap().unwrap();
    let mut graph = Graph { events: Vec::new(), width: 0 };
    let mut extremities: Vec<OwnedEventId> = Vec::new();
    let (mut last_pos, mut ordinal) = (StreamPos::ZERO, 0);
    for event in &events {
        let pdu =
            Pdu::from_stored(event.event_id.clone(), event.json.clone(), RoomVersion::V12).unwrap();
        assert_eq!(pdu.prev_events.is_empty(), graph.events.is_empty());
        assert!(pdu.prev_events.iter().all(|prev| graph.events.contains(prev)));
        extremities.retain(|extremity| !pdu.prev_events.contains(extremity));
        assert!(!event.is_state() || extremities.is_empty(), "state events follow the whole head");
        assert_eq!(event.flags.contains(EventFlags::LINEAR), extremities.is_empty());
        extremities.push(event.event_id.clone());
        assert!(event.pos.unwrap() > last_pos);
        assert!(event.notify_ordinal >= ordinal && event.notify_ordinal <= ordinal + 1);
        (last_pos, ordinal) = (event.pos.unwrap(), event.notify_ordinal);
        graph.width = graph.width.max(extremities.len());
        graph.events.push(event.event_id.clone());
    }
    let of_head: Vec<_> = head.extremities.iter().map(|one| one.event_id.clone()).collect();
    assert_eq!((of_head, head.notify_ordinal), (extremities, ordinal));
    graph
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
            let actor = user(&format!("user{task}"));
            // State events among the messages.
            join(&rooms, &actor, &room_id).await;
            let mut sent = Vec::new();
            for event in 0..EVENTS {
                sent.push(say(&rooms, &actor, &room_id, &event.to_string()).await);
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

    let end = nodes[0].db.log().applied().max(nodes[1].db.log().applied());
    for node in &nodes {
        assert!(node.db.log().wait_for(end, Duration::from_secs(10)).await);
        let graph = read_graph(node, &room_id).await;
        assert!(graph.width <= PREV_EVENTS_MAX, "{}", graph.width);
        let stored: HashSet<OwnedEventId> = graph.events.into_iter().collect();
        assert!(sent.is_subset(&stored));
        // create, member, power levels, join rule, history visibility; and who joined.
        assert_eq!(stored.len(), 5 + TASKS + TASKS * EVENTS);
    }
    // A node that starts now sees the same, and what it sends joins what the others left.
    let third = node(&pool).await;
    read_graph(&third, &room_id).await;
    say(&third, &alice, &room_id, "last").await;
    read_graph(&third, &room_id).await;
    assert_eq!(third.db.heads().find(&room_id).await.unwrap().unwrap().extremities.len(), 1);
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
    let graph = read_graph(&rooms, &room_id).await;
    assert_eq!((graph.events.len(), graph.width), (5 + TASKS, 1));
}

/// The same from both nodes at once: what each of them is answered.
async fn send_twice(
    nodes: &[Node; 2],
    new: NewMessage<'_>,
) -> [Result<OwnedEventId, SendError>; 2] {
    let alice = user("alice");
    let (one, other) = tokio::join!(send(&nodes[0], &alice, new), send(&nodes[1], &alice, new));
    [one, other]
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn what_two_nodes_are_told_at_once_is_said_of_an_event_once(pool: PgPool) {
    let nodes = [node(&pool).await, node(&pool).await];
    let alice = user("alice");
    let room_id = public_room(&nodes[0], &alice).await;
    for number in 0..20 {
        let event_id = say(&nodes[number % 2], &alice, &room_id, &number.to_string()).await;
        let content = format!(
            r#"{{"m.relates_to":{{"rel_type":"m.annotation","event_id":"{event_id}","key":"+"}}}}"#
        );
        let like = NewMessage {
            room_id: &room_id,
            event_type: "m.reaction",
            content: &content,
            txn_id: None,
            origin_server_ts: None,
        };
        let mut said = HashSet::new();
        for sent in send_twice(&nodes, like).await {
            match sent {
                // Both may have made the very same event of it.
                Ok(event_id) => drop(said.insert(event_id)),
                Err(SendError::Event(EventError::Relation(RelationError::Duplicate))) => {}
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(said.len(), 1, "{number}");
    }
    read_graph(&nodes[0], &room_id).await;
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn one_event_made_by_two_nodes_at_once_is_stored_once(pool: PgPool) {
    let nodes = [node(&pool).await, node(&pool).await];
    let alice = user("alice");
    let room_id = public_room(&nodes[0], &alice).await;
    for number in 0..20 {
        say(&nodes[number % 2], &alice, &room_id, &number.to_string()).await;
        // With the same time both make the same event of it, if they build upon the same head.
        let same = NewMessage {
            room_id: &room_id,
            event_type: "m.room.message",
            content: r#"{"msgtype":"m.text","body":"same"}"#,
            txn_id: None,
            origin_server_ts: Some(1_700_000_000_000),
        };
        for sent in send_twice(&nodes, same).await {
            sent.unwrap();
        }
    }
    read_graph(&nodes[0], &room_id).await;
}
