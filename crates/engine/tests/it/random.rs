//! Random graphs, handed over in random order, twice, and to whichever node: every node comes to what the slow model says.
//!
//! A few in each run; `RANDOM_GRAPHS=1000` makes it a thousand, `RANDOM_GRAPHS_FROM` begins with another one. In the midst of one in
//! twenty the second node is killed.

use std::time::Duration;

use myelin_engine::{Outcome, Place, StateAt, Verdict};
use myelin_events::{Pdu, RoomVersion};
use myelin_model::StreamPos;
use myelin_storage::StateMap;
use myelin_testing::{Graph, Judged, Remote};
use ruma::OwnedEventId;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::{
    readers::check_readers,
    receiver::Receiver,
    world::{BOB, CAROL, DAVE, World, head, judged, judged_by},
};

/// The number of graphs, unless it is said.
const GRAPHS: u64 = 12;

/// The number of events of other servers in a graph.
const EVENTS: usize = 30;

/// In one graph of so many a node is killed.
const GRAPHS_A_KILL: u64 = 20;

/// The time after which a node is killed that was handed an event, in microseconds at most. Most events take less.
const KILL_MICROS_MAX: usize = 6_000;

const USERS: [&str; 3] = [BOB, CAROL, DAVE];

/// The users whose views are compared: one of our users, who never leaves, the others, and somebody who never was there.
const READERS: [&str; 5] = ["@alice:example.org", BOB, CAROL, DAVE, "@eve:five.example"];

/// Numbers that look random and are the same each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end
    }

    fn one_of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().unwrap())
}

/// The graphs to try, by the numbers that they grow from.
fn seeds() -> std::ops::Range<u64> {
    let from = number("RANDOM_GRAPHS_FROM", 0);
    from..from + number("RANDOM_GRAPHS", GRAPHS)
}

/// A room of its own for a graph, with the events that are to come.
async fn plant(world: &mut World, seed: u64) -> (Numbers, Vec<Pdu>) {
    let version = RoomVersion::ALL[usize::try_from(seed).unwrap() % RoomVersion::ALL.len()];
    *world = World::on(std::mem::take(&mut world.nodes), version).await;
    let mut numbers = Numbers(seed);
    let events = grow(world, &mut numbers);
    (numbers, events)
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn whatever_the_order_every_node_comes_to_the_same(pool: PgPool) {
    let mut world = World::new(&pool, RoomVersion::V1, 2).await;
    for seed in seeds() {
        let (mut numbers, events) = plant(&mut world, seed).await;
        if seed % GRAPHS_A_KILL == GRAPHS_A_KILL / 2 {
            hand_over_to_the_killed(&mut world, &pool, events.clone(), &mut numbers, seed).await;
        }
        let states = hand_over(&mut world, events, &mut numbers, seed).await;
        world.check().await;
        let head = head(&world.nodes[0], &world.room_id).await;
        for (pos, state) in states {
            let found = world.nodes[0].state_at(&head, pos).await.unwrap();
            assert!(found == state, "graph {seed}: the state at {pos:?} is another");
        }
        world.check_verdicts().await;
        check_readers(&world, &world.graph, &READERS).await;
    }
}

/// A part of the history is not sent: the state after it is told, and it comes in pages later. Readers see of what is there what its own
/// states say.
#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn readers_see_the_same_whatever_is_missing(pool: PgPool) {
    let mut world = World::new(&pool, RoomVersion::V1, 2).await;
    for seed in seeds() {
        let (mut numbers, events) = plant(&mut world, seed).await;
        let mut theirs = World::copy(&world.graph);
        for pdu in &events {
            theirs.take(pdu).unwrap();
        }
        let (past, recent) = events.split_at(numbers.below(EVENTS - 5));
        for pdu in past.iter().filter(|pdu| pdu.state_key.is_some()) {
            world.hand_as(numbers.below(2), pdu, Place::Outlier, &[]).await.unwrap();
        }
        for pdu in recent {
            let told = states_after(&theirs, past);
            let outcome = world.hand_as(numbers.below(2), pdu, Place::New, &told).await.unwrap();
            assert!(matches!(outcome, Outcome::Judged(_)), "graph {seed}: {outcome:?}");
        }
        check_readers(&world, &theirs, &READERS).await;
        let (older, newer) = past.split_at(numbers.below(past.len() + 1));
        for (page, before) in [(newer, older), (older, &[])] {
            let told = states_after(&theirs, before);
            let page: Vec<_> = page.iter().map(|pdu| world.read(pdu.json()).unwrap()).collect();
            let node = &world.nodes[numbers.below(2)];
            for (event_id, outcome) in node.backfill(&page, &told).await.unwrap() {
                let is_rejected = matches!(outcome, Outcome::Judged(Verdict::Rejected(_)));
                let expected = theirs.judged(&event_id) == Some(Judged::Rejected);
                assert_eq!(is_rejected, expected, "graph {seed}: {outcome:?}");
            }
            check_readers(&world, &theirs, &READERS).await;
        }
    }
}

/// The states after events, as another server tells them.
fn states_after(theirs: &Graph, events: &[Pdu]) -> Vec<StateAt> {
    let told = |pdu: &Pdu| {
        let state = theirs.state_after(std::slice::from_ref(&pdu.event_id));
        StateAt {
            event_id: pdu.event_id.clone(),
            state: state.into_values().collect(),
            is_partial: false,
        }
    };
    events.iter().map(told).collect()
}

/// Let other servers go on with the room on their own.
fn grow(world: &World, numbers: &mut Numbers) -> Vec<Pdu> {
    let mut theirs = World::copy(&world.graph);
    let first = theirs.events().len() - 1;
    for _ in 0..EVENTS {
        let recent = theirs.events().len() - first;
        let prev_events = (0..1 + numbers.below(2)).map(|_| {
            let back = numbers.below(recent.min(5));
            theirs.events()[theirs.events().len() - 1 - back].event_id.clone()
        });
        let mut prev_events: Vec<OwnedEventId> = prev_events.collect();
        prev_events.dedup();
        let pdu = step(numbers, &theirs, &prev_events).build(&theirs, &world.room_id);
        theirs.take(&pdu).unwrap();
    }
    theirs.events()[first + 1..].iter().map(|pdu| Pdu::clone(pdu)).collect()
}

/// Something that somebody does, allowed or not.
fn step<'a>(numbers: &mut Numbers, theirs: &Graph, prev_events: &[OwnedEventId]) -> Remote<'a> {
    let (sender, target) = (*numbers.one_of(&USERS), *numbers.one_of(&USERS));
    let state = |kind, content| Remote::state(sender, kind, "", content, prev_events);
    let remote = match numbers.below(11) {
        0 | 1 => state("m.room.topic", json!({"topic": numbers.below(100).to_string()})),
        2 => state("m.room.name", json!({"name": numbers.below(100).to_string()})),
        3 | 4 => Remote::member(sender, sender, "join", prev_events),
        5 => {
            let membership = *numbers.one_of(&["ban", "leave", "invite", "leave"]);
            Remote::member(sender, target, membership, prev_events)
        }
        6 => state("m.room.power_levels", levels(numbers, theirs, prev_events)),
        7 => {
            let rule = *numbers.one_of(&["public", "public", "invite"]);
            state("m.room.join_rules", json!({"join_rule": rule}))
        }
        8 => {
            let value = *numbers.one_of(&["shared", "invited", "joined", "world_readable"]);
            state("m.room.history_visibility", json!({"history_visibility": value}))
        }
        9 => {
            let target = numbers.one_of(theirs.events()).event_id.clone();
            Remote::redaction(sender, &target, prev_events)
        }
        _ => Remote::message(sender, &numbers.below(1_000_000).to_string(), prev_events),
    };
    remote.at(1_700_000_000_000 + numbers.below(50) as u64)
}

fn levels(numbers: &mut Numbers, theirs: &Graph, prev_events: &[OwnedEventId]) -> Value {
    let state = theirs.state_after(prev_events);
    let current = state.get(&("m.room.power_levels".to_owned(), String::new()));
    let current = current.and_then(|id| theirs.get(id));
    let mut levels: Value = current.map_or(json!({}), |pdu| pdu.content_as().unwrap());
    levels["users"][*numbers.one_of(&USERS)] = json!(numbers.one_of(&[0, 25, 50]));
    levels
}

/// Hand all of it over in random order, again where something was missing, and now and then twice or to both nodes at once. Gives the
/// states that the room went through, with the positions at which it had them.
async fn hand_over(
    world: &mut World,
    mut events: Vec<Pdu>,
    numbers: &mut Numbers,
    seed: u64,
) -> Vec<(StreamPos, StateMap)> {
    let mut states = Vec::new();
    let twice: Vec<Pdu> = events.iter().filter(|_| numbers.below(4) == 0).cloned().collect();
    events.extend(twice);
    while !events.is_empty() {
        let pdu = events.swap_remove(numbers.below(events.len()));
        let nr = numbers.below(world.nodes.len());
        let outcomes = match numbers.below(4) {
            0 => {
                let both = tokio::join!(world.hand(0, &pdu), world.hand(1, &pdu));
                vec![both.0, both.1]
            }
            _ => vec![world.hand(nr, &pdu).await],
        };
        let expected = world.graph.take(&pdu);
        for outcome in &outcomes {
            let what = pdu.json();
            assert_eq!(judged(outcome), expected, "graph {seed}: {outcome:?}: {what}");
        }
        if expected.is_none() {
            events.push(pdu);
        }
        let head = head(&world.nodes[nr], &world.room_id).await;
        states.push((head.last_pos, head.state));
    }
    states
}

/// Hand events over in random order, to the first node and to one that is killed in the middle. What that was about to take in is there,
/// with its verdict, or is not.
async fn hand_over_to_the_killed(
    world: &mut World,
    pool: &PgPool,
    mut events: Vec<Pdu>,
    numbers: &mut Numbers,
    seed: u64,
) {
    let mut receiver = Receiver::start(pool, world).await;
    for _ in 0..numbers.below(events.len()) {
        let pdu = events.swap_remove(numbers.below(events.len()));
        let verdict = match numbers.below(3) {
            0 => judged(&world.hand(0, &pdu).await),
            _ => receiver.hand(&pdu).await,
        };
        let expected = world.graph.take(&pdu);
        assert_eq!(verdict, expected, "graph {seed}: {}", pdu.json());
        if expected.is_none() {
            events.push(pdu);
        }
    }
    // Something that it can take in.
    let pdu = events.iter().find(|pdu| World::copy(&world.graph).take(pdu).is_some()).unwrap();
    let after = Duration::from_micros(numbers.below(KILL_MICROS_MAX) as u64);
    receiver.kill_while_receiving(pool, pdu, after).await;
    let stored = world.nodes[0].db().graph().find_many(&[&pdu.event_id]).await.unwrap();
    if let Some(stored) = stored.get(&pdu.event_id) {
        assert_eq!(Some(judged_by(stored)), world.graph.take(pdu), "graph {seed}: {}", pdu.json());
    }
}
