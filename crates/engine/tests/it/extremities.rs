//! Rooms with many ends: they are joined, and there are only so many.

use myelin_engine::{Intent, Joining};
use myelin_events::RoomVersion;
use myelin_model::limits::PREV_EVENTS_MAX;
use myelin_testing::Remote;
use serde_json::json;
use sqlx::PgPool;

use crate::{
    fixture::{alice, eventually, send},
    world::{BOB, World, head},
};

/// Messages and topics side by side, each of which follows the same.
async fn fork(world: &mut World, ways: u64) {
    let end = world.end();
    for way in 0..ways {
        let topic = json!({"topic": way.to_string()});
        let topic = Remote::state(BOB, "m.room.topic", "", topic, &end).at(way);
        let message = Remote::message(BOB, &way.to_string(), &end);
        let remote = if way % 2 == 0 { topic } else { message };
        let pdu = world.build(&remote);
        world.hand(usize::from(way % 3 == 0), &pdu).await;
        world.graph.take(&pdu).unwrap();
    }
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn many_ends_are_joined_by_an_event_that_says_nothing(pool: PgPool) {
    let mut world = World::new(&pool, RoomVersion::V11, 2).await;
    let start = world.end();
    fork(&mut world, 10).await;
    world.check().await;
    assert_eq!(world.nodes[0].join_extremities(&world.room_id).await.unwrap(), Joining::Few);
    world.deliver(0, Remote::message(BOB, "one more", &start)).await;
    assert_eq!(world.end().len(), 11);

    let joining = world.nodes[1].join_extremities(&world.room_id).await.unwrap();

    let Joining::Joined(joined) = joining else { panic!("{joining:?}") };
    world.take_stored(1, &joined).await;
    world.check().await;
    assert_eq!(world.end(), [joined]);
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn a_room_has_no_more_ends_than_an_event_can_follow(pool: PgPool) {
    let mut world = World::new(&pool, RoomVersion::V11, 2).await;
    // Half of them leave the state as it is: they go, and nothing of the others is lost.
    fork(&mut world, 30).await;
    let topic = world.graph.state()[&("m.room.topic".to_owned(), String::new())].clone();
    for nr in 0..2 {
        eventually(async || world.state_of(nr, "m.room.topic", "").await.as_ref() == Some(&topic))
            .await;
        let room = head(&world.nodes[nr], &world.room_id).await;
        assert_eq!(room.extremities.len(), PREV_EVENTS_MAX);
    }
    let message = Intent::message(alice(), "m.room.message", r#"{"body":"a","msgtype":"m.text"}"#);
    send(&world.nodes[0], &world.room_id, message).await.unwrap();
    assert_eq!(head(&world.nodes[0], &world.room_id).await.extremities.len(), 1);
    assert_eq!(world.state_of(0, "m.room.topic", "").await, Some(topic));
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn a_node_joins_what_came_in_by_it(pool: PgPool) {
    let mut world = World::new(&pool, RoomVersion::V11, 2).await;
    let start = world.end();
    fork(&mut world, 10).await;
    world.nodes[0].join_noted().await;
    assert_eq!(head(&world.nodes[0], &world.room_id).await.extremities.len(), 10);
    world.deliver(0, Remote::message(BOB, "one more", &start)).await;

    world.nodes[1].join_noted().await;
    assert_eq!(head(&world.nodes[0], &world.room_id).await.extremities.len(), 11);
    world.nodes[0].join_noted().await;

    let room = head(&world.nodes[0], &world.room_id).await;
    let [joined] = &room.extremities[..] else { panic!("{:?}", room.extremities) };
    world.take_stored(0, &joined.event_id).await;
    world.check().await;
}
