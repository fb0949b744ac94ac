//! States that another server tells in part: nothing is decided by them, and all of it when they are whole.

use myelin_engine::{Missing, Outcome, Place, RoomView, StateAt, Verdict};
use myelin_events::{Pdu, RoomVersion};
use myelin_testing::{Graph, Remote};
use ruma::{OwnedEventId, server_name};
use serde_json::json;
use sqlx::PgPool;

use crate::{
    fixture::{alice, eventually},
    world::{BOB, CAROL, DAVE, World, head},
};

/// A room in which others went on without us: Dave joined, and was banned in one case; then something was lost.
struct Gap {
    world: World,
    theirs: Graph,
    /// The members that came and went meanwhile.
    members: Vec<Pdu>,
    lost: OwnedEventId,
    /// A message of Dave's to it, though he may be banned, and a name that Bob gives the room after that.
    seen: Pdu,
    next: Pdu,
}

impl Gap {
    async fn new(pool: &PgPool, is_banned: bool) -> Self {
        let world = World::new(pool, RoomVersion::V11, 2).await;
        let mut theirs = World::copy(&world.graph);
        let mut go_on = |remote: &Remote<'_>| {
            let pdu = remote.build(&theirs, &world.room_id);
            theirs.take(&pdu).unwrap();
            pdu
        };
        let after = |pdu: &Pdu| vec![pdu.event_id.clone()];
        let join = go_on(&Remote::member(DAVE, DAVE, "join", &world.end()));
        let said = go_on(&Remote::message(DAVE, "in", &after(&join)));
        // What entitles him is his join, also when he builds upon what came after the ban.
        let cites = join.auth_events.iter().filter(|id| !is_join_rule(&world, id)).cloned();
        let cites: Vec<OwnedEventId> = cites.chain([join.event_id.clone()]).collect();
        let mut members = vec![join];
        if is_banned {
            members.push(go_on(&Remote::member(BOB, DAVE, "ban", &after(&said))));
        }
        let end = members.last().filter(|_| is_banned).unwrap_or(&said);
        let lost = go_on(&Remote::message(CAROL, "lost", &after(end)));
        let seen = go_on(&Remote::message(DAVE, "seen", &after(&lost)).citing(&cites));
        let name = json!({"name": "next"});
        let next = go_on(&Remote::state(BOB, "m.room.name", "", name, &after(&seen)));
        Self { world, theirs, members, lost: lost.event_id, seen, next }
    }

    /// The state after what was lost, as it is told.
    fn told(&self, is_partial: bool) -> [StateAt; 1] {
        let state = self.theirs.state_after(std::slice::from_ref(&self.lost));
        let told =
            state.into_iter().filter(|((kind, _), _)| !is_partial || kind != "m.room.member");
        let state = told.map(|(_, event_id)| event_id).collect();
        [StateAt { event_id: self.lost.clone(), state, is_partial }]
    }

    /// Hand over all but what was lost, with a part of the state.
    async fn hand_part(&self) {
        for pdu in &self.members {
            self.world.hand_as(0, pdu, Place::Outlier, &[]).await.unwrap();
        }
        let undecided = Outcome::Judged(Verdict::Undecided);
        for nr in [0, 1] {
            let outcome = self.world.hand_as(nr, &self.seen, Place::New, &self.told(true)).await;
            assert_eq!(outcome.unwrap(), undecided);
            assert_eq!(self.world.hand(nr, &self.next).await, undecided);
        }
        // What its auth events do not allow is rejected whatever the state before it.
        let follows = [self.seen.event_id.clone()];
        let eve = Remote::message("@eve:four.example", "let me in", &follows).citing(&[]);
        let outcome = self.world.hand(0, &self.world.build(&eve)).await;
        assert!(matches!(outcome, Outcome::Judged(Verdict::Rejected(_))), "{outcome:?}");
        // The room is as it was, and nobody is shown anything.
        self.world.check().await;
        for pdu in [&self.seen, &self.next] {
            assert!(!self.is_shown(pdu).await);
        }
    }

    async fn is_shown(&self, pdu: &Pdu) -> bool {
        let engine = &self.world.nodes[0];
        let event = engine.db().events().find_by_id(&pdu.event_id).await.unwrap().unwrap();
        let mut view = RoomView::get(engine, &self.world.room_id, alice()).await.unwrap();
        let seen = view.see(engine, vec![event.clone()]).await.unwrap();
        let head = head(engine, &self.world.room_id).await;
        let server = server_name!("two.example");
        let shown = engine.show_to_server(&head, server, vec![event]).await.unwrap();
        assert_eq!(seen.is_empty(), shown.is_empty());
        !seen.is_empty()
    }

    async fn wait_for_name(&self) {
        for nr in [0, 1] {
            let is_there = async || {
                let name = self.world.state_of(nr, "m.room.name", "").await;
                name.as_ref() == Some(&self.next.event_id)
            };
            eventually(is_there).await;
        }
    }
}

fn is_join_rule(world: &World, event_id: &OwnedEventId) -> bool {
    world.graph.get(event_id).is_some_and(|pdu| &*pdu.event_type == "m.room.join_rules")
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn what_follows_a_part_is_decided_by_the_whole(pool: PgPool) {
    let gap = Gap::new(&pool, false).await;
    gap.hand_part().await;
    // A part is no whole, however often it is told.
    let nothing = gap.world.nodes[0].complete_states(&gap.told(true)).await.unwrap();
    assert_eq!(nothing, Missing::default());
    assert!(!gap.is_shown(&gap.seen).await);
    let missing = gap.world.nodes[1].complete_states(&gap.told(false)).await.unwrap();
    assert_eq!(missing, Missing::default());
    gap.wait_for_name().await;
    for pdu in [&gap.seen, &gap.next] {
        assert_eq!(gap.world.hand(0, pdu).await, Outcome::Judged(Verdict::Appended));
        assert!(gap.is_shown(pdu).await);
    }
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn who_was_banned_in_what_was_not_told_is_not_heard(pool: PgPool) {
    let gap = Gap::new(&pool, true).await;
    gap.hand_part().await;
    gap.world.nodes[0].complete_states(&gap.told(false)).await.unwrap();
    let outcome = gap.world.hand(1, &gap.seen).await;
    assert!(matches!(outcome, Outcome::Judged(Verdict::Rejected(_))), "{outcome:?}");
    assert!(!gap.is_shown(&gap.seen).await);
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn what_follows_a_part_is_decided_when_the_gap_is_filled(pool: PgPool) {
    let gap = Gap::new(&pool, false).await;
    gap.hand_part().await;
    for pdu in &gap.theirs.events()[gap.world.graph.events().len()..] {
        gap.world.hand(1, pdu).await;
    }
    gap.wait_for_name().await;
    assert!(gap.is_shown(&gap.seen).await && gap.is_shown(&gap.next).await);
}
