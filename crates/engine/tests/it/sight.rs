//! Rooms with branches, as readers see them.

use myelin_events::RoomVersion;
use myelin_testing::Remote;
use ruma::{OwnedEventId, ServerName};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::{
    fixture::alice,
    readers::check_readers,
    world::{BOB, CAROL, DAVE, World},
};

fn visibility(sender: &'static str, value: &str, prev_events: &[OwnedEventId]) -> Remote<'static> {
    let content = json!({"history_visibility": value});
    Remote::state(sender, "m.room.history_visibility", "", content, prev_events)
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn a_branch_has_its_own_visibility_and_members(pool: PgPool) {
    for version in [RoomVersion::V1, RoomVersion::V6, RoomVersion::V12] {
        let mut world = World::new(&pool, version, 2).await;
        let readers = [alice().as_str(), BOB, CAROL, DAVE];
        for (nr, value) in ["joined", "shared", "invited", "world_readable"].iter().enumerate() {
            let end = world.end();
            world.deliver(nr % 2, visibility(BOB, value, &end).at(nr as u64)).await;
            let before = world.end();
            world.deliver(0, Remote::member(DAVE, DAVE, "join", &before)).await;
            // Bob's server has heard neither of that nor of what follows.
            let other = ["shared", "joined", "world_readable", "invited"][nr];
            world.deliver(1, Remote::message(BOB, "late", &before)).await;
            let late = world.graph.events().last().unwrap().event_id.clone();
            world.deliver(0, visibility(BOB, other, std::slice::from_ref(&late))).await;
            let branch = world.graph.events().last().unwrap().event_id.clone();
            world.deliver(1, Remote::message(CAROL, "later", &[branch])).await;
            check_readers(&world, &world.graph, &readers).await;
            let ends = world.end();
            world.deliver(0, Remote::message(CAROL, "joined", &ends)).await;
            let end = world.end();
            world.deliver(1, Remote::member(DAVE, DAVE, "leave", &end)).await;
            check_readers(&world, &world.graph, &readers).await;
        }
    }
}

/// The bodies of the messages that a server may see.
async fn shown(world: &World, nr: usize, server: &str) -> Vec<String> {
    let engine = &world.nodes[nr];
    let server = <&ServerName>::try_from(server).unwrap();
    let mut events = Vec::new();
    for pdu in world.graph.events() {
        events.extend(engine.db().events().find_by_id(&pdu.event_id).await.unwrap());
    }
    let head = engine.db().heads().find(&world.room_id).await.unwrap().unwrap();
    let shown = engine.show_to_server(&head, server, events).await.unwrap();
    let body = |json: &str| {
        let event: Value = serde_json::from_str(json).unwrap();
        event["content"]["body"].as_str().map(ToOwned::to_owned)
    };
    shown.iter().filter_map(|event| body(&event.json)).collect()
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn a_server_sees_what_its_members_were_there_for(pool: PgPool) {
    let mut world = World::new(&pool, RoomVersion::V11, 2).await;
    let end = world.end();
    world.deliver(0, Remote::message(BOB, "open", &end)).await;
    assert_eq!(shown(&world, 1, "four.example").await, ["open"]);
    let end = world.end();
    world.deliver(0, visibility(BOB, "joined", &end)).await;
    let before = world.end();
    world.deliver(1, Remote::member(DAVE, DAVE, "join", &before)).await;
    let end = world.end();
    world.deliver(0, Remote::message(CAROL, "to Dave, too", &end)).await;
    // A branch on which Dave is not in the room.
    world.deliver(1, Remote::message(CAROL, "late", &before)).await;
    for nr in 0..2 {
        assert_eq!(shown(&world, nr, "four.example").await, ["open", "to Dave, too"]);
        assert_eq!(shown(&world, nr, "two.example").await, ["open", "to Dave, too", "late"]);
    }
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn a_reset_changes_what_members_see(pool: PgPool) {
    let mut world = World::new(&pool, RoomVersion::V11, 2).await;
    let end = world.end();
    world.deliver(0, visibility(BOB, "joined", &end)).await;
    let end = world.end();
    // Two branches: on one Dave is in, on the other Bob bans him.
    world.deliver(0, Remote::member(DAVE, DAVE, "join", &end)).await;
    let joined = world.graph.events().last().unwrap().event_id.clone();
    world.deliver(1, Remote::message(DAVE, "in", &[joined])).await;
    let inside = world.end();
    world.deliver(1, Remote::member(BOB, DAVE, "ban", &end)).await;
    let ends = world.end();
    world.deliver(0, Remote::message(BOB, "both", &ends)).await;
    check_readers(&world, &world.graph, &[alice().as_str(), BOB, CAROL, DAVE]).await;
    // What others said to Dave while he was in.
    let late = world.build(&Remote::message(CAROL, "late", &inside));
    world.deliver_pdu(0, &late).await;
    check_readers(&world, &world.graph, &[alice().as_str(), BOB, CAROL, DAVE]).await;
}
