//! History from before this server was in the room.

use myelin_engine::{Outcome, Place, StateAt, Verdict};
use myelin_events::{Pdu, RoomVersion, received::Received};
use myelin_testing::{Graph, Remote};
use ruma::OwnedEventId;
use sqlx::PgPool;

use crate::world::{BOB, CAROL, World};

/// A line of messages of Bob's after an event, the last of which redacts the first.
fn line(world: &World, theirs: &mut Graph, after: &Pdu, len: usize) -> Vec<Pdu> {
    let mut line: Vec<Pdu> = Vec::new();
    for number in 0..len {
        let before = line.last().unwrap_or(after);
        let before = std::slice::from_ref(&before.event_id);
        let body = format!("{number} after {}", after.event_id);
        let remote = match line.first() {
            Some(first) if number + 1 == len => Remote::redaction(BOB, &first.event_id, before),
            Some(_) | None => Remote::message(BOB, &body, before),
        };
        let pdu = remote.build(theirs, &world.room_id);
        theirs.take(&pdu).unwrap();
        line.push(pdu);
    }
    line
}

fn read(world: &World, pdus: &[Pdu]) -> Vec<Received> {
    pdus.iter().map(|pdu| world.read(pdu.json()).unwrap()).collect()
}

fn state_at(theirs: &Graph, event_id: &OwnedEventId) -> StateAt {
    let state = theirs.state_after(std::slice::from_ref(event_id));
    StateAt { event_id: event_id.clone(), state: state.into_values().collect(), is_partial: false }
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn backfilled_pages_stand_before_each_other_and_in_nobodys_stream(pool: PgPool) {
    let world = World::new(&pool, RoomVersion::V11, 2).await;
    let mut theirs = World::copy(&world.graph);
    let root = Remote::message(CAROL, "root", &world.end()).build(&theirs, &world.room_id);
    theirs.take(&root).unwrap();
    let older = line(&world, &mut theirs, &root, 4);
    let newer = line(&world, &mut theirs, &older[3], 4);
    let room_nid = world.stored(0, &world.end()[0]).await.room_nid;
    let missing = async || world.nodes[1].db().graph().list_missing(room_nid).await.unwrap();

    let last = &older[3].event_id;
    let page = read(&world, &newer);
    let backfill = async |nr: usize, page: &[Received], states: &[StateAt]| -> Vec<Outcome> {
        let outcomes = world.nodes[nr].backfill(page, states).await.unwrap();
        outcomes.into_iter().map(|(_, outcome)| outcome).collect()
    };
    assert!(backfill(0, &page, &[]).await.is_empty(), "nothing here follows it");
    // What follows it comes first.
    let seen = Remote::message(CAROL, "seen", std::slice::from_ref(&newer[3].event_id));
    let seen = seen.build(&theirs, &world.room_id);
    theirs.take(&seen).unwrap();
    let told = [state_at(&theirs, &newer[3].event_id)];
    world.hand_as(0, &seen, Place::New, &told).await.unwrap();
    let applied = world.nodes[0].db().log().applied();
    let nothing = backfill(0, &page, &[]).await;
    assert!(nothing.iter().all(|outcome| matches!(outcome, Outcome::Missing(_))));
    let outcomes = backfill(0, &page, &[state_at(&theirs, last)]).await;
    assert_eq!(outcomes, vec![Outcome::Judged(Verdict::Backfilled); 4]);
    assert_eq!(missing().await, std::slice::from_ref(last));
    // The redaction came to its target in one page; here it is handed over again.
    let again = backfill(1, &page, &[]).await;
    assert_eq!(again, outcomes);

    let page = read(&world, &older);
    backfill(1, &page, &[state_at(&theirs, &root.event_id)]).await;
    assert_eq!(missing().await, std::slice::from_ref(&root.event_id));
    let mut positions = Vec::new();
    for pdu in older.iter().chain(&newer) {
        let event = world.stored(0, &pdu.event_id).await;
        positions.push(event.pos.unwrap());
        let is_first = pdu.event_id == older[0].event_id || pdu.event_id == newer[0].event_id;
        assert_eq!(event.redacted_by.is_some(), is_first);
    }
    assert!(positions.is_sorted() && positions.iter().all(|pos| pos.0 < 0), "{positions:?}");
    let last_pos = crate::world::head(&world.nodes[0], &world.room_id).await.last_pos;
    assert!(last_pos <= applied, "no stream tells of it");
}
