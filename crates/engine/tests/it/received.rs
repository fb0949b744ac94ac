//! Events of other servers find their place.

use myelin_engine::{Intent, Missing, Outcome, Place, Verdict};
use myelin_events::RoomVersion;
use myelin_testing::Remote;
use serde_json::json;
use sqlx::PgPool;

use crate::{
    fixture::alice,
    world::{BOB, CAROL, DAVE, World},
};

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn what_follows_the_end_is_appended_in_every_version(pool: PgPool) {
    for version in RoomVersion::ALL {
        let mut world = World::new(&pool, version, 1).await;
        let end = world.end();
        let message = world.deliver(0, Remote::message(BOB, "hi", &end)).await;
        let topic =
            Remote::state(BOB, "m.room.topic", "", json!({"topic": "x"}), &[message.event_id]);
        let topic = world.deliver(0, topic).await;
        let answer = world
            .send(
                0,
                Intent::message(alice(), "m.room.message", r#"{"msgtype":"m.text","body":"a"}"#),
            )
            .await;
        world.deliver(0, Remote::message(CAROL, "ho", &[answer])).await;
        assert_eq!(world.state_of(0, "m.room.topic", "").await, Some(topic.event_id));
    }
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn what_is_handed_over_again_is_what_it_was(pool: PgPool) {
    let mut world = World::new(&pool, RoomVersion::V11, 2).await;
    let end = world.end();
    let message = world.deliver(0, Remote::message(BOB, "hi", &end)).await;
    let banned = world
        .deliver(1, Remote::member(BOB, DAVE, "ban", std::slice::from_ref(&message.event_id)))
        .await;
    let refused =
        world.deliver(0, Remote::message(DAVE, "no", std::slice::from_ref(&banned.event_id))).await;
    let late = world.deliver(1, Remote::message(CAROL, "late", &end)).await;
    for pdu in [&message, &banned, &refused, &late] {
        for nr in 0..2 {
            world.deliver_pdu(nr, pdu).await;
        }
    }
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn forks_are_resolved_and_joined(pool: PgPool) {
    for version in
        [RoomVersion::V1, RoomVersion::V2, RoomVersion::V6, RoomVersion::V11, RoomVersion::V12]
    {
        let mut world = World::new(&pool, version, 2).await;
        let end = world.end();
        let topic = |sender, topic: &str| {
            Remote::state(sender, "m.room.topic", "", json!({"topic": topic}), &end)
        };
        world.deliver(0, topic(BOB, "one").at(1)).await;
        world.deliver(1, topic(BOB, "two").at(3)).await;
        world.deliver(0, topic(BOB, "three").at(2)).await;
        let ends = world.end();
        assert_eq!(ends.len(), 3);
        world.deliver(1, Remote::message(CAROL, "joined", &ends)).await;
        assert_eq!(world.end().len(), 1);
        world
            .send(
                0,
                Intent::message(alice(), "m.room.message", r#"{"msgtype":"m.text","body":"a"}"#),
            )
            .await;
    }
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn who_evades_a_ban_is_soft_failed_until_others_follow(pool: PgPool) {
    let mut world = World::new(&pool, RoomVersion::V11, 2).await;
    let end = world.end();
    let ban = world.deliver(0, Remote::member(BOB, CAROL, "ban", &end)).await;
    let evading = Remote::state(CAROL, "m.room.message", "", json!({}), &end);
    let evading = Remote { state_key: None, ..evading };
    let evading = world.build(&evading);
    let outcome = world.deliver_pdu(1, &evading).await;
    assert_eq!(outcome, Outcome::Judged(Verdict::SoftFailed));
    assert_eq!(world.end(), std::slice::from_ref(&ban.event_id));
    let both = [ban.event_id, evading.event_id];
    world.deliver(0, Remote::message(BOB, "both", &both)).await;
    assert_eq!(world.end().len(), 1);
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn what_is_missing_is_told_and_nothing_is_stored(pool: PgPool) {
    let mut world = World::new(&pool, RoomVersion::V11, 1).await;
    let end = world.end();
    let first = world.build(&Remote::message(BOB, "first", &end));
    let second = Remote::message(BOB, "second", std::slice::from_ref(&first.event_id));
    let second = world.build(&second.citing(&first.auth_events));
    let missing = Missing { prev_events: vec![first.event_id.clone()], ..Missing::default() };
    for _ in 0..2 {
        assert_eq!(world.hand(0, &second).await, Outcome::Missing(missing.clone()));
    }
    world.deliver_pdu(0, &first).await;
    world.deliver_pdu(0, &second).await;

    let end = world.end();
    let unknown = world.build(&Remote::member(DAVE, DAVE, "join", &end));
    let message = Remote::message(DAVE, "hi", &end);
    let cites = [first.auth_events[0].clone(), unknown.event_id.clone()];
    let message = world.build(&message.citing(&cites));
    let missing = Missing { auth_events: vec![unknown.event_id.clone()], ..Missing::default() };
    assert_eq!(world.hand(0, &message).await, Outcome::Missing(missing));
    let outlier = world.hand_as(0, &unknown, Place::Outlier, &[]).await.unwrap();
    assert_eq!(outlier, Outcome::Judged(Verdict::Outlier));
    world.check().await;
    // Entitled by what it cites, but not by the state before it.
    let outcome = world.hand(0, &message).await;
    assert!(matches!(outcome, Outcome::Judged(Verdict::Rejected(_))), "{outcome:?}");
    world.check().await;
    // An outlier becomes part of the history.
    world.deliver_pdu(0, &unknown).await;
    assert!(world.stored(0, &unknown.event_id).await.pos.is_some());
}
