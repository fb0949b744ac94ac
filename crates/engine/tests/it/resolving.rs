//! Resolving states: what it reads, and what it keeps waiting.

use std::time::Duration;

use myelin_engine::{Intent, Outcome, Verdict};
use myelin_events::RoomVersion;
use myelin_testing::{Remote, sign};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::{
    fixture::{alice, eventually},
    world::{BOB, CAROL, DAVE, World, head},
};

/// The time within which a room that has nothing to do with another goes on.
const PATIENCE: Duration = Duration::from_secs(5);

/// Servers have redactions at different times, or never: what is resolved must not depend on them. See
/// docs/decisions/resolution-reads-what-was-sent.md.
#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn events_are_resolved_as_they_were_sent_and_checked_as_they_are(pool: PgPool) {
    let mut world = World::new(&pool, RoomVersion::V10, 2).await;
    let end = world.end();
    let levels = json!({"users": {alice().as_str(): 100, BOB: 50}, "invite": 50}).to_string();
    let levels = Intent::state(alice(), "m.room.power_levels", "", &levels);
    let levels = world.send(0, levels).await;
    let invite = world.build(&Remote::member(CAROL, DAVE, "invite", &end));
    // In this version a redaction takes the level of invites away: then everybody may invite.
    let redaction = Intent::message(alice(), "m.room.redaction", "{}");
    world.send(0, Intent { redacts: Some(&levels), ..redaction }).await;

    let outcome = world.hand(0, &invite).await;

    assert_eq!(outcome, Outcome::Judged(Verdict::Appended), "by the current levels she may");
    for nr in [0, 1] {
        let is_forked =
            async || head(&world.nodes[nr], &world.room_id).await.extremities.len() == 2;
        eventually(is_forked).await;
        let member = world.state_of(nr, "m.room.member", DAVE).await;
        assert_eq!(member, None, "by the levels as they were sent she may not");
    }
}

/// A resolution runs off the async threads and holds the lock of its own room alone.
#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn a_resolution_that_takes_long_keeps_no_other_room_waiting(pool: PgPool) {
    let mut slow = World::new(&pool, RoomVersion::V12, 1).await;
    let mut other = World::on(slow.nodes.clone(), RoomVersion::V12).await;
    let end = slow.end();
    let topic = |topic: &str| Remote::state(BOB, "m.room.topic", "", json!({"topic": topic}), &end);
    let (left, right) = (slow.build(&topic("left")), slow.build(&topic("right").at(1)));
    slow.deliver_pdu(0, &left).await;
    // The index of auth chains cannot be read until this ends.
    let mut lock = pool.begin().await.unwrap();
    let statement = "LOCK TABLE auth_chain_links IN ACCESS EXCLUSIVE MODE";
    sqlx::query(statement).execute(&mut *lock).await.unwrap();
    let resolving = tokio::spawn({
        let (engine, received) = (slow.nodes[0].clone(), slow.read(right.json()).unwrap());
        async move { engine.receive(&received, myelin_engine::Place::New, &[]).await.unwrap() }
    });
    eventually(async || is_waiting(&pool).await).await;

    let others = async {
        for _ in 0..3 {
            let end = other.end();
            other.deliver(0, Remote::message(CAROL, "meanwhile", &end)).await;
            let text = r#"{"body":"a","msgtype":"m.text"}"#;
            other.send(0, Intent::message(alice(), "m.room.message", text)).await;
        }
    };
    tokio::time::timeout(PATIENCE, others).await.unwrap();

    assert!(!resolving.is_finished());
    lock.rollback().await.unwrap();
    assert_eq!(resolving.await.unwrap(), Outcome::Judged(Verdict::Appended));
    slow.graph.take(&right).unwrap();
    slow.check().await;
}

/// Whether a statement waits for a lock.
async fn is_waiting(pool: &PgPool) -> bool {
    let waiting: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
    )
    .fetch_one(pool)
    .await
    .unwrap();
    waiting > 0
}

/// Times before 1970 are times: of two events side by side the later one counts, as on every other server.
#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn times_before_the_epoch_are_told_apart(pool: PgPool) {
    let mut world = World::new(&pool, RoomVersion::V11, 1).await;
    for number in 0..6 {
        let end = world.end();
        let build = |membership: &str, ts: i64| {
            let content = json!({"membership": membership, "reason": format!("{number}")});
            let event = Remote::state(CAROL, "m.room.member", CAROL, content, &end);
            let event = world.build(&event);
            let mut event: Value = serde_json::from_str(event.json()).unwrap();
            event["origin_server_ts"] = json!(ts);
            world.read(&sign(RoomVersion::V11, "three.example", event)).unwrap().pdu
        };
        let (join, leave) = (build("join", -3), build("leave", -1));
        world.deliver_pdu(0, &leave).await;
        world.deliver_pdu(0, &join).await;
        let current = world.state_of(0, "m.room.member", CAROL).await;
        assert_eq!(current.as_ref(), Some(&leave.event_id));
        let end = world.end();
        world.deliver(0, Remote::member(CAROL, CAROL, "join", &end)).await;
    }
}
