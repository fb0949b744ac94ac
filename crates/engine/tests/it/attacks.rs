//! Servers that mean no good withhold events and flood rooms with them, and the room stays what its honest servers have.

use myelin_engine::{Outcome, Place, StateAt, Verdict};
use myelin_events::RoomVersion;
use myelin_model::limits::PREV_EVENTS_MAX;
use myelin_testing::{Graph, Remote};
use ruma::{OwnedEventId, OwnedRoomId};
use serde_json::json;
use sqlx::PgPool;

use crate::{
    fixture::eventually,
    world::{BOB, CAROL, DAVE, World, head},
};

/// Wait until the current state has an event for a user's membership on every node.
async fn wait_for_member(world: &World, user: &str, event_id: &OwnedEventId) {
    for nr in 0..world.nodes.len() {
        let is_there =
            async || world.state_of(nr, "m.room.member", user).await.as_ref() == Some(event_id);
        eventually(is_there).await;
    }
}

/// The events that entitle a member to send a message.
fn entitling(world: &World, user: &str) -> Vec<OwnedEventId> {
    let state = world.graph.state();
    let keys = [("m.room.create", ""), ("m.room.power_levels", ""), ("m.room.member", user)];
    let keys = keys
        .iter()
        .filter(|(kind, _)| !world.graph.version.has_hashed_room_ids() || *kind != "m.room.create");
    keys.map(|(kind, key)| state[&((*kind).to_owned(), (*key).to_owned())].clone()).collect()
}

/// One server fills the room's ends, by messages or by ever new names; then another one bans its user.
#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn no_server_keeps_the_events_of_others_from_counting(pool: PgPool) {
    for is_state in [false, true] {
        let world = World::new(&pool, RoomVersion::V11, 2).await;
        let mut theirs = World::copy(&world.graph);
        let end = world.end();
        let mut last = None;
        for way in 0..25_usize {
            let name = json!({"membership": "join", "displayname": way.to_string()});
            let remote = match is_state {
                true => Remote::state(CAROL, "m.room.member", CAROL, name, &end),
                false => Remote::message(CAROL, &way.to_string(), &end),
            };
            let pdu = world.build(&remote.at(way as u64));
            assert_eq!(world.hand(way % 2, &pdu).await, Outcome::Judged(Verdict::Appended));
            theirs.take(&pdu).unwrap();
            last = Some(pdu.event_id);
        }
        let ban = world.build(&Remote::member(BOB, CAROL, "ban", &end));
        assert_eq!(world.hand(0, &ban).await, Outcome::Judged(Verdict::Appended));
        wait_for_member(&world, CAROL, &ban.event_id).await;
        let room = head(&world.nodes[1], &world.room_id).await;
        assert_eq!(room.extremities.len(), PREV_EVENTS_MAX);
        let more = Remote::message(CAROL, "more", &[last.unwrap()]);
        let more = more.build(&theirs, &world.room_id);
        assert_eq!(world.hand(1, &more).await, Outcome::Judged(Verdict::SoftFailed), "{is_state}");
    }
}

/// A server follows the ban of its user, does not show it, and tells the state before it for the one after it.
#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn a_ban_that_was_withheld_counts_when_it_comes(pool: PgPool) {
    for version in [RoomVersion::V6, RoomVersion::V12] {
        let world = World::new(&pool, version, 2).await;
        let end = world.end();
        let ban = world.build(&Remote::member(BOB, CAROL, "ban", &end));
        let cites = entitling(&world, CAROL);
        let follow = |body, before: &OwnedEventId| {
            let before = std::slice::from_ref(before);
            world.build(&Remote::message(CAROL, body, before).citing(&cites))
        };
        let hidden = follow("in", &ban.event_id);
        let state = world.graph.state_after(&end).into_values().collect();
        let told = [StateAt { event_id: ban.event_id.clone(), state, is_partial: false }];
        let outcome = world.hand_as(0, &hidden, Place::New, &told).await.unwrap();
        assert_eq!(outcome, Outcome::Judged(Verdict::Appended));
        assert_eq!(world.hand(1, &ban).await, Outcome::Judged(Verdict::Appended));
        wait_for_member(&world, CAROL, &ban.event_id).await;
        let more = follow("more", &hidden.event_id);
        assert_eq!(world.hand(0, &more).await, Outcome::Judged(Verdict::SoftFailed));
    }
}

/// A line of messages of somebody who is not in the room: no state is looked for until a member follows it.
#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn a_line_of_rejected_events_has_the_state_before_it(pool: PgPool) {
    let mut world = World::new(&pool, RoomVersion::V11, 2).await;
    let end = world.end();
    let topic = Remote::state(BOB, "m.room.topic", "", json!({"topic": "a"}), &end);
    let topic = world.deliver(0, topic).await;
    let mut before = vec![topic.event_id, end[0].clone()];
    for way in 0..4 {
        let pdu = world.deliver(way % 2, Remote::message(DAVE, "let me in", &before)).await;
        let stored = world.stored(0, &pdu.event_id).await;
        assert!(stored.pos.is_some_and(|pos| pos.0 < 0) && stored.state_after.is_none());
        before = if way == 2 { vec![pdu.event_id, before[0].clone()] } else { vec![pdu.event_id] };
    }
    let name = Remote::state(BOB, "m.room.name", "", json!({"name": "b"}), &before);
    world.deliver(1, name).await;
    let ends = world.end();
    world.deliver(0, Remote::message(CAROL, "both", &ends)).await;
}

/// A second create event has no more power than its own auth events give, which are none.
#[test]
fn a_second_create_event_does_not_take_the_room_over() {
    let room_id = OwnedRoomId::try_from("!room:two.example").unwrap();
    let mut graph = Graph::new(RoomVersion::V10);
    let create = |sender, at| {
        let content = json!({"creator": sender, "room_version": "10", "m.federate": at != 0});
        Remote::state(sender, "m.room.create", "", content, &[]).at(at)
    };
    let first = create(BOB, 1).build(&graph, &room_id);
    graph.take(&first).unwrap();
    let before = [first.event_id.clone()];
    let join = Remote::member(BOB, BOB, "join", &before).build(&graph, &room_id);
    graph.take(&join).unwrap();
    let second = create("@eve:two.example", 0).build(&graph, &room_id);
    graph.take(&second).unwrap();
    let state = graph.state();
    assert_eq!(state[&("m.room.create".to_owned(), String::new())], first.event_id);
}
