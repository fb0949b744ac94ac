//! Rooms with branches, as readers see them, beside a slow model that looks at the whole graph for each event.

use myelin_engine::RoomView;
use myelin_events::{
    RoomVersion,
    visibility::{HistoryVisibility, Viewpoint, may_see},
};
use myelin_model::Membership;
use myelin_testing::{NamedState, Remote};
use ruma::{OwnedEventId, ServerName, UserId};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::{
    fixture::alice,
    world::{BOB, CAROL, DAVE, World},
};

/// The view of a reader on an event, by the states before and after it that the model has.
fn viewpoint(world: &World, event_id: &OwnedEventId, reader: &str) -> Viewpoint {
    let pdu = world.graph.get(event_id).unwrap();
    let before = world.graph.state_after(&pdu.prev_events);
    let mut after = before.clone();
    if let Some(state_key) = &pdu.state_key {
        after.insert((pdu.event_type.to_string(), state_key.to_string()), event_id.clone());
    }
    let content = |state: &NamedState, kind: &str, key: &str| -> Option<Value> {
        let event_id = state.get(&(kind.to_owned(), key.to_owned()))?;
        Some(world.graph.get(event_id)?.content_as().unwrap())
    };
    let visibility = |state| {
        let content = content(state, "m.room.history_visibility", "");
        content.map(|content| HistoryVisibility::parse(&content.to_string())).unwrap_or_default()
    };
    let membership = |state| {
        let content = content(state, "m.room.member", reader)?;
        Membership::parse(content["membership"].as_str()?)
    };
    let now = world.graph.state();
    let is_joined = membership(&now) == Some(Membership::Join);
    Viewpoint {
        visibility_before: visibility(&before),
        visibility_after: visibility(&after),
        membership_before: membership(&before),
        membership_after: membership(&after),
        joined_since: is_joined,
    }
}

/// Check on each node what the readers see of all events.
async fn check(world: &World, readers: &[&str]) {
    for engine in &world.nodes {
        for reader in readers {
            let user_id = <&UserId>::try_from(*reader).unwrap();
            let Ok(mut view) = RoomView::get(engine, &world.room_id, user_id).await else {
                continue;
            };
            for pdu in world.graph.events() {
                let event = engine.db().events().find_by_id(&pdu.event_id).await.unwrap();
                let event = event.unwrap();
                if !event.is_visible() {
                    continue;
                }
                let sees = !view.see(engine, vec![event.clone()]).await.unwrap().is_empty();
                let is_own = event.is_state_of("m.room.member", reader);
                let expected = viewpoint(world, &pdu.event_id, reader);
                // The model knows nothing of who was in the room for a time after the event.
                let is_shared = [expected.visibility_before, expected.visibility_after]
                    .contains(&HistoryVisibility::Shared);
                if view.is_member() || !is_shared {
                    let expected = is_own || may_see(&expected);
                    assert_eq!(sees, expected, "{reader} {expected:?}: {}", pdu.json());
                }
            }
        }
    }
}

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
            check(&world, &readers).await;
            let ends = world.end();
            world.deliver(0, Remote::message(CAROL, "joined", &ends)).await;
            let end = world.end();
            world.deliver(1, Remote::member(DAVE, DAVE, "leave", &end)).await;
            check(&world, &readers).await;
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
    check(&world, &[alice().as_str(), BOB, CAROL, DAVE]).await;
    // What others said to Dave while he was in.
    let late = world.build(&Remote::message(CAROL, "late", &inside));
    world.deliver_pdu(0, &late).await;
    check(&world, &[alice().as_str(), BOB, CAROL, DAVE]).await;
}
