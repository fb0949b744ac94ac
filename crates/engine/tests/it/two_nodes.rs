//! One node must not judge by what it has not heard of yet from another.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use myelin_engine::{Outcome, Place, Verdict};
use myelin_events::RoomVersion;
use myelin_testing::{Judged, Remote};
use serde_json::json;
use sqlx::PgPool;

use crate::{
    fixture::{node, room, set},
    world::{BOB, CAROL, World, judged},
};

/// An event that the current state forbids is soft-failed; the node that judges may not have heard yet of a newer state.
#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn nothing_is_soft_failed_by_a_state_that_is_over(pool: PgPool) {
    let mut world = World::new(&pool, RoomVersion::V12, 2).await;
    for round in 0..20 {
        let end = world.end();
        let kick = world.deliver(1, Remote::member(BOB, CAROL, "leave", &end).at(round)).await;
        let back = Remote::member(CAROL, CAROL, "join", std::slice::from_ref(&kick.event_id));
        let back = world.build(&back.at(round));
        // Both nodes know of the kick. The first one is not given the time to hear of the join.
        let outcome = world.hand(1, &back).await;
        assert_eq!(judged(&outcome), world.graph.take(&back));
        let message = Remote::message(CAROL, "back", &[back.event_id]);
        world.deliver(0, message.at(round)).await;
    }
}

/// A node that has read an event beside the log judges by what has become of it since.
#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn who_cites_what_another_node_has_rejected_is_rejected(pool: PgPool) {
    let mut world = World::new(&pool, RoomVersion::V11, 2).await;
    let end = world.end();
    let state = world.graph.state();
    let cited = [
        ("m.room.create", ""),
        ("m.room.power_levels", ""),
        ("m.room.join_rules", ""),
        ("m.room.member", CAROL),
    ];
    let cited = cited.map(|(kind, key)| state[&(kind.to_owned(), key.to_owned())].clone());
    let ban = world.deliver(0, Remote::member(BOB, CAROL, "ban", &end)).await;
    let evading = Remote::member(CAROL, CAROL, "join", &[ban.event_id]).citing(&cited);
    let evading = world.build(&evading);
    let cites = [cited[0].clone(), cited[1].clone(), evading.event_id.clone()];
    let message = |body| world.build(&Remote::message(CAROL, body, &end).citing(&cites));
    let outlier = world.hand_as(0, &evading, Place::Outlier, &[]).await.unwrap();
    assert_eq!(outlier, Outcome::Judged(Verdict::Outlier));
    assert_eq!(judged(&world.hand(0, &message("one")).await), Some(Judged::SoftFailed));

    assert_eq!(judged(&world.hand(1, &evading).await), Some(Judged::Rejected));

    for nr in [0, 1] {
        let outcome = world.hand(nr, &message("two")).await;
        assert_eq!(judged(&outcome), Some(Judged::Rejected), "{outcome:?}");
    }
}

/// The index of auth chains is read while others append to the room.
#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn the_index_has_no_event_without_what_it_cites(pool: PgPool) {
    let engine = node(&pool).await;
    let room_id = room(&engine, RoomVersion::V11, "public").await;
    let room_nid = engine.db().heads().find_nid(&room_id).await.unwrap().unwrap();
    let is_done = Arc::new(AtomicBool::new(false));
    let reading = tokio::spawn({
        let (engine, is_done) = (engine.clone(), Arc::clone(&is_done));
        async move {
            let mut indexes = Vec::new();
            while !is_done.load(Ordering::Acquire) {
                indexes.push(engine.db().auth_chains().get(room_nid).await.unwrap());
            }
            indexes
        }
    });
    let mut topics = Vec::new();
    for number in 0..200 {
        let topic = json!({"topic": number.to_string()}).to_string();
        let event_id = set(&engine, &room_id, "m.room.topic", "", &topic).await;
        topics.push(engine.db().events().find_by_id(&event_id).await.unwrap().unwrap().nid);
    }
    is_done.store(true, Ordering::Release);
    let mut draft = engine.get_draft(&room_id).await.unwrap();
    let create = draft.find_state("m.room.create", "").await.unwrap().unwrap().nid;
    for index in reading.await.unwrap() {
        for topic in topics.iter().filter(|topic| index.contains(**topic)) {
            assert!(index.is_reached(create, *topic), "{topic} leads nowhere");
        }
    }
}
