//! Events that other servers should not send: dropped, redacted or rejected, and the room stays what it was.

use myelin_engine::{Outcome, Place, ReceiveError, Rejection, Verdict};
use myelin_events::{
    Pdu, RoomVersion, canonical,
    received::{Dropped, Received},
    verify,
};
use myelin_testing::{Remote, server_key, sign};
use ruma::OwnedEventId;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::world::{BOB, CAROL, DAVE, World};

/// A change to a message of Bob's, and what becomes of the message.
struct Lie {
    name: &'static str,
    change: fn(&mut Value),
    /// Whether Bob's server signs what was changed.
    is_signed: bool,
    is_dropped: fn(&Dropped) -> bool,
}

const LIES: [Lie; 16] = [
    Lie {
        name: "the sender is another server's user",
        change: |event| event["sender"] = json!(CAROL),
        is_signed: false,
        is_dropped: |dropped| matches!(dropped, Dropped::Signature(server) if server == "three.example"),
    },
    Lie {
        name: "the type was changed",
        change: |event| event["type"] = json!("m.room.topic"),
        is_signed: false,
        is_dropped: |dropped| matches!(dropped, Dropped::Signature(_)),
    },
    Lie {
        name: "the signature is of another key",
        change: |event| {
            let signature = event["signatures"]["two.example"]["ed25519:1"].take();
            event["signatures"]["two.example"] = json!({"ed25519:2": signature});
        },
        is_signed: false,
        is_dropped: |dropped| matches!(dropped, Dropped::Signature(_)),
    },
    Lie {
        name: "there is no signature",
        change: |event| event["signatures"] = json!({}),
        is_signed: false,
        is_dropped: |dropped| matches!(dropped, Dropped::Signature(_)),
    },
    Lie {
        name: "there is no hash",
        change: |event| event["hashes"] = json!({}),
        is_signed: false,
        is_dropped: |dropped| matches!(dropped, Dropped::Malformed(_)),
    },
    Lie {
        name: "it is of another room",
        change: |event| event["room_id"] = json!("!other:two.example"),
        is_signed: true,
        is_dropped: |dropped| matches!(dropped, Dropped::OtherRoom),
    },
    Lie {
        name: "its type has a NUL",
        change: |event| event["type"] = json!("a\0b"),
        is_signed: true,
        is_dropped: |dropped| matches!(dropped, Dropped::Nul("type")),
    },
    Lie {
        name: "its state key has a NUL",
        change: |event| event["state_key"] = json!("\0"),
        is_signed: true,
        is_dropped: |dropped| matches!(dropped, Dropped::Nul("state_key")),
    },
    Lie {
        name: "it follows too many",
        change: |event| event["prev_events"] = json!(ids(21)),
        is_signed: true,
        is_dropped: |dropped| matches!(dropped, Dropped::Malformed(_)),
    },
    Lie {
        name: "it cites too many",
        change: |event| event["auth_events"] = json!(ids(11)),
        is_signed: true,
        is_dropped: |dropped| matches!(dropped, Dropped::Malformed(_)),
    },
    Lie {
        name: "it follows what cannot be stored",
        change: |event| event["prev_events"] = json!(["$a\0b"]),
        is_signed: true,
        is_dropped: |dropped| matches!(dropped, Dropped::Malformed(_)),
    },
    Lie {
        name: "it cites what has a longer ID than any event",
        change: |event| event["auth_events"] = json!([format!("${}", "x".repeat(255))]),
        is_signed: true,
        is_dropped: |dropped| matches!(dropped, Dropped::Malformed(_)),
    },
    Lie {
        name: "its depth is negative",
        change: |event| event["depth"] = json!(-1),
        is_signed: true,
        is_dropped: |dropped| matches!(dropped, Dropped::Malformed(_)),
    },
    Lie {
        name: "its type is too long",
        change: |event| event["type"] = json!("x".repeat(256)),
        is_signed: true,
        is_dropped: |dropped| matches!(dropped, Dropped::Malformed(_)),
    },
    Lie {
        name: "it is too large",
        change: |event| event["content"]["body"] = json!("x".repeat(65_536)),
        is_signed: true,
        is_dropped: |dropped| matches!(dropped, Dropped::Malformed(_)),
    },
    Lie {
        name: "its content is no object",
        change: |event| event["content"] = json!([]),
        is_signed: false,
        is_dropped: |dropped| matches!(dropped, Dropped::Malformed(_)),
    },
];

fn ids(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("${number:043}")).collect()
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn what_is_no_event_is_dropped(pool: PgPool) {
    let world = World::new(&pool, RoomVersion::V11, 1).await;
    let message = world.build(&Remote::message(BOB, "hi", &world.end()));
    for lie in &LIES {
        let mut event: Value = serde_json::from_str(message.json()).unwrap();
        (lie.change)(&mut event);
        let json = match lie.is_signed {
            true => sign(RoomVersion::V11, "two.example", event),
            false => event.to_string(),
        };
        let dropped = world.read(&json).unwrap_err();
        assert!((lie.is_dropped)(&dropped), "{}: {dropped:?}", lie.name);
    }
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn what_was_changed_on_the_way_is_redacted(pool: PgPool) {
    for version in [RoomVersion::V1, RoomVersion::V4, RoomVersion::V11, RoomVersion::V12] {
        let mut world = World::new(&pool, version, 2).await;
        let message = world.build(&Remote::message(BOB, "hi", &world.end()));
        let json = message.json().replace("\"hi\"", "\"ha\"");
        let received = world.read(&json).unwrap();
        let outcome = world.nodes[1].receive(&received, Place::New, &[]).await.unwrap();
        assert_eq!(outcome, Outcome::Judged(Verdict::RedactedAndAppended));
        world.graph.take(&message).unwrap();
        world.check().await;
        let stored = world.stored(1, &message.event_id).await;
        assert!(!stored.json.contains("body"), "{}", stored.json);
        // The true one comes too late.
        assert_eq!(world.hand(0, &message).await, Outcome::Judged(Verdict::Appended));
    }
}

/// A third-party invite need not be signed by the sender's server. What looks like one as it comes, and like an ordinary invite once it is
/// redacted, must be.
#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn an_invite_that_nobody_signed_is_dropped(pool: PgPool) {
    for version in [RoomVersion::V3, RoomVersion::V10, RoomVersion::V11, RoomVersion::V12] {
        let world = World::new(&pool, version, 1).await;
        let invite = world.build(&Remote::member(BOB, DAVE, "invite", &world.end()));
        let mut event: Value = serde_json::from_str(invite.json()).unwrap();
        for third_party_invite in [json!(null), json!({}), json!({"signed": {}})] {
            event["content"]["third_party_invite"] = third_party_invite;
            event["signatures"] = json!({});
            let read = world.read(&event.to_string());
            // From version 11 on, an object is kept there: it stays a third-party invite, which the rules refuse.
            let is_kept =
                version >= RoomVersion::V11 && event["content"]["third_party_invite"].is_object();
            match read {
                Ok(received) => assert!(is_kept && received.is_redacted, "{version} {event}"),
                Err(Dropped::Signature(server)) => {
                    assert!(!is_kept && server == "two.example", "{version} {event}");
                }
                Err(other) => panic!("{version} {other:?}"),
            }
        }
        let signed = world.read(&sign(version, "three.example", event)).unwrap();
        assert!(!signed.is_redacted, "{version}: nothing was changed");
    }
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn a_hash_is_read_in_either_alphabet(pool: PgPool) {
    let world = World::new(&pool, RoomVersion::V11, 1).await;
    let server = ruma::server_name!("two.example");
    for number in 0..10 {
        let message = world.build(&Remote::message(BOB, &format!("m{number}"), &world.end()));
        let mut event: Value = serde_json::from_str(message.json()).unwrap();
        let hash = event["hashes"]["sha256"].as_str().unwrap();
        event["hashes"]["sha256"] = json!(hash.replace('+', "-").replace('/', "_") + "=");
        let json = canonical::to_canonical(&event.to_string(), true).unwrap();
        let pdu = Pdu::parse(json, RoomVersion::V11).unwrap();
        let signed = verify::add_signature(&pdu, server, &server_key(server)).unwrap();
        assert!(!world.read(signed.json()).unwrap().is_redacted, "{}", signed.json());
    }
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn an_event_of_another_version_is_refused(pool: PgPool) {
    let world = World::new(&pool, RoomVersion::V11, 1).await;
    let message = world.build(&Remote::message(BOB, "hi", &world.end()));
    let (room_id, keys) = (&world.room_id, &world.keys);
    let received = Received::read(message.json(), RoomVersion::V10, room_id, keys).unwrap();
    let refused = world.nodes[0].receive(&received, Place::New, &[]).await.unwrap_err();
    assert!(matches!(refused, ReceiveError::OtherVersion), "{refused:?}");
}

/// Fractions of a depth stand in no room, as no server takes them; those of times do.
#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn fractions_are_read_where_others_read_them(pool: PgPool) {
    let world = World::new(&pool, RoomVersion::V4, 1).await;
    let message = world.build(&Remote::message(BOB, "hi", &world.end()));
    let event: Value = serde_json::from_str(message.json()).unwrap();
    for (field, is_read) in [("depth", false), ("origin_server_ts", true)] {
        let event = Value::Object({
            let mut event = event.as_object().unwrap().clone();
            event.insert(field.to_owned(), json!(7.5));
            event
        });
        let read = world.read(&sign(RoomVersion::V4, "two.example", event));
        assert_eq!(read.is_ok(), is_read, "{field}: {read:?}");
    }
}

/// The current events of some types.
fn current(world: &World, keys: &[(&str, &str)]) -> Vec<OwnedEventId> {
    let state = world.graph.state();
    keys.iter().map(|(kind, key)| state[&((*kind).to_owned(), (*key).to_owned())].clone()).collect()
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn what_is_not_entitled_is_rejected(pool: PgPool) {
    let mut world = World::new(&pool, RoomVersion::V11, 2).await;
    let end = world.end();
    let dave = world.deliver(1, Remote::message(DAVE, "let me in", &end)).await;
    let levels = ("m.room.power_levels", "");
    let create = ("m.room.create", "");
    let (bob, carol) = (("m.room.member", BOB), ("m.room.member", CAROL));
    let cites = |keys: &[(&str, &str)]| current(&world, keys);
    let message =
        |auth_events: &[OwnedEventId]| Remote::message(BOB, "hi", &end).citing(auth_events);
    let cited_twice = [cites(&[create, levels, bob]), cites(&[bob])].concat();
    let rejected = [cites(&[create, levels]), vec![dave.event_id.clone()]].concat();
    let lies = [
        ("no create event", message(&cites(&[levels, bob]))),
        ("no membership", message(&cites(&[create, levels]))),
        ("another's membership", message(&cites(&[create, levels, bob, carol]))),
        ("one twice", message(&cited_twice)),
        ("a message", message(&rejected)),
        ("nothing", message(&[])),
        ("no power", Remote::state(CAROL, "m.room.topic", "", json!({}), &end)),
        ("another's state", Remote::state(BOB, "x", CAROL, json!({}), &end)),
        ("a join of another", Remote::member(BOB, DAVE, "join", &end)),
        ("a kick of the stronger", Remote::member(CAROL, BOB, "leave", &end)),
        ("no membership at all", Remote::state(BOB, "m.room.member", BOB, json!({}), &end)),
        ("levels beyond one's own", {
            let content = json!({"users": {BOB: 100}});
            Remote::state(BOB, "m.room.power_levels", "", content, &end)
        }),
        (
            "nothing before it",
            Remote::message(BOB, "hi", &[]).citing(&cites(&[create, levels, bob])),
        ),
    ];
    for (nr, (name, lie)) in lies.into_iter().enumerate() {
        let pdu = world.build(&lie.at(nr as u64));
        let outcome = world.deliver_pdu(nr % 2, &pdu).await;
        assert!(matches!(outcome, Outcome::Judged(Verdict::Rejected(_))), "{name}: {outcome:?}");
        let stored = world.stored(1, &pdu.event_id).await;
        assert!(stored.pos.is_some_and(|pos| pos.0 < 0), "{name}");
        // Who follows it is judged as if it were not there.
        let follower = Remote::message(CAROL, name, &[pdu.event_id]);
        world.deliver((nr + 1) % 2, follower).await;
    }
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn what_follows_another_room_is_rejected(pool: PgPool) {
    let world = World::new(&pool, RoomVersion::V11, 1).await;
    let other = World::on(world.nodes.clone(), RoomVersion::V11).await;
    let cites = current(
        &world,
        &[("m.room.create", ""), ("m.room.power_levels", ""), ("m.room.member", BOB)],
    );
    let elsewhere = world.build(&Remote::message(BOB, "hi", &other.end()).citing(&cites));
    let outcome = world.hand(0, &elsewhere).await;
    assert!(matches!(outcome, Outcome::Judged(Verdict::Rejected(Rejection::StateBefore(_)))));
    let cites = current(
        &other,
        &[("m.room.create", ""), ("m.room.power_levels", ""), ("m.room.member", BOB)],
    );
    let citing = world.build(&Remote::message(BOB, "hi", &world.end()).citing(&cites));
    let outcome = world.hand(0, &citing).await;
    assert!(matches!(outcome, Outcome::Judged(Verdict::Rejected(Rejection::AuthEvents(_)))));
    world.check().await;
}

/// Only where servers choose event IDs can events follow each other in a circle.
#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn circles_never_close(pool: PgPool) {
    let world = World::new(&pool, RoomVersion::V1, 1).await;
    let message = world.build(&Remote::message(BOB, "hi", &world.end()));
    let circle = |own: &str, other: &str| -> Pdu {
        let mut event: Value = serde_json::from_str(message.json()).unwrap();
        event["event_id"] = json!(own);
        event["prev_events"] = json!([[other, {}]]);
        Pdu::parse(sign(RoomVersion::V1, "two.example", event), RoomVersion::V1).unwrap()
    };
    let (one, two) =
        (circle("$1:two.example", "$2:two.example"), circle("$2:two.example", "$1:two.example"));
    let own = circle("$3:two.example", "$3:two.example");
    for pdu in [&one, &two, &one, &own] {
        let outcome = world.hand(0, pdu).await;
        assert!(matches!(outcome, Outcome::Missing(_)), "{outcome:?}");
    }
    world.check().await;
}
