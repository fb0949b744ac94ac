//! Redactions that come before what they redact, gaps, and outliers that find their place.

use myelin_engine::{Intent, Missing, Outcome, Place, StateAt, Verdict};
use myelin_events::RoomVersion;
use myelin_testing::{Judged, Remote, sign};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::{
    fixture::{alice, content, eventually},
    world::{BOB, CAROL, DAVE, World},
};

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn a_redaction_counts_whichever_comes_first(pool: PgPool) {
    for version in [RoomVersion::V3, RoomVersion::V11] {
        let mut world = World::new(&pool, version, 2).await;
        let mut now = 1_700_000_000_000;
        // Who redacts, and whether the redaction of a topic of Bob's holds.
        for (redactor, holds) in [(BOB, true), (CAROL, false)] {
            for is_late in [false, true] {
                let end = world.end();
                let topic = json!({"topic": format!("{redactor} {is_late}")});
                let topic = Remote::state(BOB, "m.room.topic", "", topic, &end);
                // Of two topics side by side the newer one counts.
                now += 1;
                let topic = world.build(&topic.at(now));
                let redaction = Remote::redaction(redactor, &topic.event_id, &end);
                let redaction = world.build(&redaction);
                let (first, second) =
                    if is_late { (&redaction, &topic) } else { (&topic, &redaction) };
                world.deliver_pdu(0, first).await;
                world.deliver_pdu(1, second).await;
                let stored = world.stored(1, &topic.event_id).await;
                let redacted_by = stored.redacted_by.is_some();
                assert_eq!(redacted_by, holds, "{version} {redactor} {is_late}");
                for engine in &world.nodes {
                    eventually(async || {
                        let content = content(engine, &world.room_id, "m.room.topic").await;
                        (content.as_deref() == Some("{}")) == holds
                    })
                    .await;
                }
                let ends = world.end();
                world.deliver(0, Remote::message(BOB, "joined", &ends)).await;
            }
        }
    }
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn our_own_redaction_waits_for_what_it_redacts(pool: PgPool) {
    let mut world = World::new(&pool, RoomVersion::V11, 2).await;
    let message = world.build(&Remote::message(CAROL, "hi", &world.end()));
    let redaction = Intent::message(alice(), "m.room.redaction", "{}");
    let redaction = Intent { redacts: Some(&message.event_id), ..redaction };
    let redaction = world.send(0, redaction).await;
    world.deliver_pdu(1, &message).await;
    let redacted_by = world.stored(1, &message.event_id).await.redacted_by;
    assert_eq!(redacted_by, Some(world.stored(0, &redaction).await.nid));
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn a_redaction_that_is_not_allowed_any_more_redacts_nothing(pool: PgPool) {
    let mut world = World::new(&pool, RoomVersion::V11, 2).await;
    let end = world.end();
    let message = world.deliver(0, Remote::message(CAROL, "mine", &end)).await;
    let before = world.end();
    world.deliver(1, Remote::member(BOB, CAROL, "ban", &before)).await;
    let redaction = Remote::redaction(CAROL, &message.event_id, &before);
    let redaction = world.build(&redaction);
    assert_eq!(world.deliver_pdu(0, &redaction).await, Outcome::Judged(Verdict::SoftFailed));
    assert!(world.stored(0, &message.event_id).await.redacted_by.is_none());
    // Nor does one that was late.
    let other = world.build(&Remote::message(CAROL, "too", &before));
    let redaction = world.build(&Remote::redaction(CAROL, &other.event_id, &before));
    world.deliver_pdu(1, &redaction).await;
    world.deliver_pdu(0, &other).await;
    assert!(world.stored(1, &other.event_id).await.redacted_by.is_none());
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn a_gap_is_bridged_by_the_state_after_it(pool: PgPool) {
    let mut world = World::new(&pool, RoomVersion::V11, 2).await;
    let end = world.end();
    // Dave joins and sets a topic that nobody sends us: only what follows.
    let join = world.build(&Remote::member(DAVE, DAVE, "join", &end));
    let mut theirs = World::copy(&world.graph);
    theirs.take(&join).unwrap();
    let lost = Remote::message(DAVE, "lost", std::slice::from_ref(&join.event_id));
    let lost = lost.build(&theirs, &world.room_id);
    theirs.take(&lost).unwrap();
    let seen = Remote::message(DAVE, "seen", &[lost.event_id.clone(), lost.event_id.clone()]);
    let seen = seen.build(&theirs, &world.room_id);
    theirs.take(&seen).unwrap();

    let missing = world.hand(0, &seen).await;
    let auth_events = vec![join.event_id.clone()];
    let expected = Missing { auth_events, ..Missing::default() };
    assert_eq!(missing, Outcome::Missing(expected));
    world.hand_as(1, &join, Place::Outlier, &[]).await.unwrap();
    let prev_events = vec![lost.event_id.clone()];
    let expected = Missing { prev_events, ..Missing::default() };
    assert_eq!(world.hand(0, &seen).await, Outcome::Missing(expected));

    let state = theirs.state_after(std::slice::from_ref(&lost.event_id)).into_values().collect();
    let told = [StateAt { event_id: lost.event_id.clone(), state, is_partial: false }];
    let outcome = world.hand_as(0, &seen, Place::New, &told).await.unwrap();
    assert_eq!(outcome, Outcome::Judged(Verdict::Appended));
    for nr in 0..2 {
        let is_there =
            async || world.state_of(nr, "m.room.member", DAVE).await == Some(join.event_id.clone());
        eventually(is_there).await;
        let head = crate::world::head(&world.nodes[nr], &world.room_id).await;
        assert_eq!(
            head.extremities.len(),
            2,
            "what is before the gap is followed by nothing that is here"
        );
    }
    let room_nid = world.stored(0, &seen.event_id).await.room_nid;
    let missing = world.nodes[0].db().graph().list_missing(room_nid).await.unwrap();
    assert_eq!(missing, std::slice::from_ref(&lost.event_id));

    // What was missing comes: it is no end of the room, as something follows it.
    world.deliver_late(1, &join).await;
    world.deliver_late(0, &lost).await;
    world.graph = theirs;
    world.check().await;
    let missing = world.nodes[0].db().graph().list_missing(room_nid).await.unwrap();
    assert!(missing.is_empty());
    assert_eq!(world.graph.take(&seen), Some(Judged::Accepted));
}

/// The first copy of an outlier says what is known of it, unless that copy had lost its content.
#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn a_changed_copy_replaces_no_outlier(pool: PgPool) {
    for version in [RoomVersion::V1, RoomVersion::V6, RoomVersion::V11, RoomVersion::V12] {
        for is_whole_first in [true, false] {
            let world = World::new(&pool, version, 2).await;
            let topic = json!({"topic": "true"});
            let topic = Remote::state(BOB, "m.room.topic", "", topic, &world.end());
            let topic = world.build(&topic);
            let changed = world.read(&topic.json().replace("true", "false")).unwrap();
            assert!(changed.is_redacted);
            let whole = world.read(topic.json()).unwrap();
            let (first, second) =
                if is_whole_first { (&whole, &changed) } else { (&changed, &whole) };
            let outcome = world.nodes[0].receive(first, Place::Outlier, &[]).await.unwrap();
            assert_eq!(outcome, Outcome::Judged(Verdict::Outlier));
            let outcome = world.nodes[1].receive(second, Place::New, &[]).await.unwrap();
            assert_eq!(outcome, Outcome::Judged(Verdict::Appended));
            for nr in 0..2 {
                let stored =
                    async || content(&world.nodes[nr], &world.room_id, "m.room.topic").await;
                eventually(async || stored().await.as_deref() == Some(r#"{"topic":"true"}"#)).await;
            }
        }
    }
}

/// Another event may come under the same ID where servers choose the IDs.
#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn another_event_of_the_same_id_replaces_no_outlier(pool: PgPool) {
    let world = World::new(&pool, RoomVersion::V1, 1).await;
    let topic = Remote::state(BOB, "m.room.topic", "", json!({"topic": "first"}), &world.end());
    let topic = world.build(&topic);
    world.hand_as(0, &topic, Place::Outlier, &[]).await.unwrap();
    let mut event: Value = serde_json::from_str(topic.json()).unwrap();
    event["content"]["topic"] = json!("second");
    let other = world.read(&sign(RoomVersion::V1, "two.example", event)).unwrap();
    assert!(!other.is_redacted && other.pdu.event_id == topic.event_id);
    let outcome = world.nodes[0].receive(&other, Place::New, &[]).await.unwrap();
    assert_eq!(outcome, Outcome::Judged(Verdict::Appended));
    let stored = content(&world.nodes[0], &world.room_id, "m.room.topic").await;
    assert_eq!(stored.as_deref(), Some(r#"{"topic":"first"}"#));
}

/// A redaction that counts is found among many of an event that is not there yet.
#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn redactions_of_others_hide_no_true_one(pool: PgPool) {
    let mut world = World::new(&pool, RoomVersion::V11, 1).await;
    let message = world.build(&Remote::message(BOB, "hi", &world.end()));
    for number in 0..5 {
        let end = world.end();
        let redaction = Remote::redaction(CAROL, &message.event_id, &end).at(number);
        world.deliver(0, redaction).await;
    }
    let end = world.end();
    let redaction = world.deliver(0, Remote::redaction(BOB, &message.event_id, &end)).await;
    world.deliver_pdu(0, &message).await;
    let redacted_by = world.stored(0, &message.event_id).await.redacted_by;
    assert_eq!(redacted_by, Some(world.stored(0, &redaction.event_id).await.nid));
}
