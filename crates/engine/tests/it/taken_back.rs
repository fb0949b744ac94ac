//! Events that were rejected for a reason that is gone.

use myelin_engine::{Outcome, Place, StateAt, Verdict};
use myelin_events::{Pdu, RoomVersion};
use myelin_testing::{Graph, Judged, Remote};
use ruma::OwnedEventId;
use serde_json::json;
use sqlx::PgPool;

use crate::world::{BOB, CAROL, DAVE, World, head, judged};

/// A room in which another server goes on by itself.
struct Apart {
    world: World,
    theirs: Graph,
}

impl Apart {
    async fn new(pool: &PgPool) -> Self {
        let world = World::new(pool, RoomVersion::V11, 2).await;
        let theirs = World::copy(&world.graph);
        Self { world, theirs }
    }

    /// Something that happens there.
    fn go_on(&mut self, remote: &Remote<'_>) -> Pdu {
        let pdu = remote.build(&self.theirs, &self.world.room_id);
        assert_eq!(self.theirs.take(&pdu), Some(Judged::Accepted));
        pdu
    }

    /// The state that they tell after an event: that after another one.
    fn tell(&self, event_id: &OwnedEventId, after: &[OwnedEventId]) -> [StateAt; 1] {
        let state = self.theirs.state_after(after).into_values().collect();
        [StateAt { event_id: event_id.clone(), state, is_partial: false }]
    }

    async fn reject(&self, nr: usize, pdu: &Pdu, told: &[StateAt]) {
        let outcome = self.world.hand_as(nr, pdu, Place::New, told).await.unwrap();
        assert!(matches!(outcome, Outcome::Judged(Verdict::Rejected(_))), "{outcome:?}");
    }

    /// All of them are part of the history on every node, and a message of Dave's is taken.
    async fn check_taken(&mut self, pdus: &[&Pdu]) {
        for pdu in pdus {
            for nr in [0, 1] {
                let outcome = self.world.hand(nr, pdu).await;
                assert_eq!(outcome, Outcome::Judged(Verdict::Appended), "{}", pdu.json());
            }
            assert!(self.world.stored(0, &pdu.event_id).await.pos.is_some_and(|pos| pos.0 > 0));
        }
        self.world.graph = World::copy(&self.theirs);
        self.world.check().await;
    }
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn what_a_wrong_state_rejected_is_taken_back_when_the_gap_is_filled(pool: PgPool) {
    let mut apart = Apart::new(&pool).await;
    let end = apart.world.end();
    let join = apart.go_on(&Remote::member(DAVE, DAVE, "join", &end));
    let first = apart.go_on(&Remote::message(DAVE, "first", std::slice::from_ref(&join.event_id)));
    let second =
        apart.go_on(&Remote::message(DAVE, "second", std::slice::from_ref(&first.event_id)));
    apart.world.hand_as(0, &join, Place::Outlier, &[]).await.unwrap();
    // Who tells the state keeps quiet about the join.
    let told = apart.tell(&join.event_id, &end);
    apart.reject(0, &first, &told).await;
    apart.reject(1, &second, &[]).await;
    apart.reject(1, &first, &[]).await;
    let room = head(&apart.world.nodes[0], &apart.world.room_id).await;
    assert_eq!(room.extremities.len(), 1, "what is rejected ends nothing");

    let outcome = apart.world.hand(1, &join).await;

    assert_eq!(outcome, Outcome::Judged(Verdict::Appended));
    apart.check_taken(&[&join, &first, &second]).await;
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn what_cites_an_event_is_taken_back_with_it(pool: PgPool) {
    let mut apart = Apart::new(&pool).await;
    let start = apart.world.end();
    let rules = |rule, prev: &[OwnedEventId]| {
        Remote::state(BOB, "m.room.join_rules", "", json!({"join_rule": rule}), prev)
    };
    let closed = apart.go_on(&rules("invite", &start));
    let lost = apart.go_on(&rules("public", std::slice::from_ref(&closed.event_id)));
    let join = Remote::member(DAVE, DAVE, "join", std::slice::from_ref(&lost.event_id));
    let join = apart.go_on(&join);
    let message = Remote::message(DAVE, "in", std::slice::from_ref(&join.event_id));
    let message = apart.go_on(&message);
    apart.world.deliver_pdu(0, &closed).await;
    apart.world.hand_as(1, &lost, Place::Outlier, &[]).await.unwrap();
    let told = apart.tell(&lost.event_id, std::slice::from_ref(&closed.event_id));
    apart.reject(0, &join, &told).await;
    apart.reject(1, &message, &[]).await;
    // One that cites it and is part of no history.
    let outlier = Remote::message(DAVE, "aside", std::slice::from_ref(&join.event_id));
    let outlier = outlier.build(&apart.theirs, &apart.world.room_id);
    let outcome = apart.world.hand_as(0, &outlier, Place::Outlier, &[]).await.unwrap();
    assert_eq!(judged(&outcome), Some(Judged::Rejected));

    assert_eq!(apart.world.hand(1, &lost).await, Outcome::Judged(Verdict::Appended));

    apart.check_taken(&[&lost, &join, &message]).await;
    let outcome = apart.world.hand_as(1, &outlier, Place::Outlier, &[]).await.unwrap();
    assert_eq!(outcome, Outcome::Judged(Verdict::Outlier));
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn one_that_others_follow_already_comes_into_the_state(pool: PgPool) {
    let mut apart = Apart::new(&pool).await;
    let end = apart.world.end();
    let join = apart.go_on(&Remote::member(DAVE, DAVE, "join", &end));
    let lost = apart.go_on(&Remote::message(CAROL, "lost", std::slice::from_ref(&join.event_id)));
    let name = json!({"membership": "join", "displayname": "Dave"});
    let lost_id = std::slice::from_ref(&lost.event_id);
    let renamed = Remote::state(DAVE, "m.room.member", DAVE, name, lost_id);
    // Of two joins the newer one counts.
    let renamed = apart.go_on(&renamed.at(1_700_000_000_001));
    let after = std::slice::from_ref(&renamed.event_id);
    let follower = apart.go_on(&Remote::message(BOB, "after", after));
    apart.world.deliver_pdu(0, &join).await;
    // A state in which nobody may join and Dave has not.
    let mut told = apart.tell(&lost.event_id, &end);
    let rules = &apart.theirs.state()[&("m.room.join_rules".to_owned(), String::new())];
    told[0].state.retain(|id| id != rules);
    apart.reject(0, &renamed, &told).await;
    assert_eq!(apart.world.hand(1, &follower).await, Outcome::Judged(Verdict::Appended));

    assert_eq!(apart.world.hand(0, &lost).await, Outcome::Judged(Verdict::Appended));

    for nr in [0, 1] {
        crate::fixture::eventually(async || {
            apart.world.state_of(nr, "m.room.member", DAVE).await.as_ref()
                == Some(&renamed.event_id)
        })
        .await;
    }
    let outcome = apart.world.hand(1, &renamed).await;
    assert_eq!(outcome, Outcome::Judged(Verdict::Appended));
}
