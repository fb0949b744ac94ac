//! The costs of received events in statements, against `tests/budgets/received.tsv`. See docs/testing.md, "Budgets".

use myelin_engine::Place;
use myelin_events::{Pdu, RoomVersion};
use myelin_testing::{Ledger, Remote};
use serde_json::json;
use sqlx::PgPool;

use crate::world::{BOB, CAROL, World};

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn statements_are_as_written_down(pool: PgPool) {
    let mut ledger = Ledger::new(&pool, "received.tsv");
    let mut world = World::new(&pool, RoomVersion::V12, 1).await;
    for kind in ["first", "again"] {
        let end = world.end();
        let message = world.build(&Remote::message(BOB, kind, &end));
        note(&mut ledger, &mut world, "message", kind, &message).await;
        let topic = json!({"topic": kind});
        let end = world.end();
        let topic = world.build(&Remote::state(BOB, "m.room.topic", "", topic, &end));
        note(&mut ledger, &mut world, "state", kind, &topic).await;
        let name = json!({"membership": "join", "displayname": kind});
        let end = world.end();
        let member = world.build(&Remote::state(CAROL, "m.room.member", CAROL, name, &end));
        note(&mut ledger, &mut world, "member", kind, &member).await;
        let end = world.end();
        let [left, right] = ["left", "right"].map(|body| Remote::message(BOB, body, &end));
        let (left, right) = (world.build(&left), world.build(&right));
        note(&mut ledger, &mut world, "message before a fork", kind, &left).await;
        note(&mut ledger, &mut world, "message beside another", kind, &right).await;
        note(&mut ledger, &mut world, "known", kind, &right).await;
        let end = world.end();
        let joining = world.build(&Remote::message(CAROL, "joining", &end));
        note(&mut ledger, &mut world, "message after a fork", kind, &joining).await;
        let end = world.end();
        let [left, right] = ["left", "right"].map(|topic| {
            let topic = json!({"topic": format!("{kind} {topic}")});
            world.build(&Remote::state(BOB, "m.room.topic", "", topic, &end))
        });
        note(&mut ledger, &mut world, "state before a fork", kind, &left).await;
        note(&mut ledger, &mut world, "state beside another", kind, &right).await;
        let end = world.end();
        let joining = world.build(&Remote::message(CAROL, "joining", &end));
        note(&mut ledger, &mut world, "message after a conflict", kind, &joining).await;
        let end = world.end();
        let refused = Remote::state(CAROL, "m.room.topic", "", json!({}), &end);
        let refused = world.build(&refused);
        note(&mut ledger, &mut world, "rejected", kind, &refused).await;
        let outlier = Remote::member(CAROL, CAROL, "leave", &world.end());
        let received = world.read(world.build(&outlier).json()).unwrap();
        let receive = world.nodes[0].receive(&received, Place::Outlier, &[]);
        ledger.note("outlier", kind, receive).await.unwrap();
    }
    ledger.check();
}

async fn note(ledger: &mut Ledger, world: &mut World, name: &str, kind: &str, pdu: &Pdu) {
    let received = world.read(pdu.json()).unwrap();
    let receive = world.nodes[0].receive(&received, Place::New, &[]);
    ledger.note(name, kind, receive).await.unwrap();
    world.graph.take(pdu).unwrap();
}
