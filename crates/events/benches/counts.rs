//! The hot paths of the rules, counted: see docs/testing.md, "Budgets".
#![allow(clippy::unwrap_used, reason = "a bench that cannot go on should stop")]

mod fixture;

use std::{collections::BTreeMap, hint::black_box};

use fixture::{
    counted::{self, Case, keep},
    fork::{Fork, Size},
    message::{Hot, Message, VERSION, foreign_json},
};
use myelin_events::{
    Pdu, auth, canonical,
    client::{Format, Unsigned, write_event},
    verify,
};
use myelin_model::Membership;

const CASES: &[Case] = &[
    ("events.make_a_message", || {
        let message = Message::new();
        Box::new(move || keep(message.build()))
    }),
    ("events.verify_hash_and_signature", || {
        let message = Message::new();
        let pdu = message.build();
        let of_server =
            BTreeMap::from([(message.key.key_id().to_owned(), message.key.public_key())]);
        let keys = BTreeMap::from([("example.org".to_owned(), of_server)]);
        Box::new(move || keep(verify::verify(black_box(&pdu), &keys)))
    }),
    ("events.canonical_json", || {
        let json = foreign_json();
        Box::new(move || keep(canonical::to_canonical(black_box(&json), true)))
    }),
    ("events.read_a_stored_event", || {
        let pdu = Message::new().build();
        Box::new(move || {
            keep(Pdu::from_stored(pdu.event_id.clone(), black_box(pdu.json()), VERSION));
        })
    }),
    ("events.check_the_auth_rules", || {
        let (pdu, hot) = (Message::new().build(), Hot::new());
        Box::new(move || keep(auth::check(VERSION, black_box(&pdu), &hot)))
    }),
    ("events.splice_a_timeline_of_50", || {
        let timeline = Message::new().timeline();
        Box::new(move || {
            let unsigned = Unsigned {
                age: Some(123_456),
                membership: Some(Membership::Join),
                ..Unsigned::default()
            };
            let mut out = String::new();
            for event in &timeline {
                write_event(&mut out, event, VERSION, Format::Sync, &unsigned);
            }
            keep(out);
        })
    }),
    ("events.resolve_10_ways_of_1000", || {
        let fork = Fork::of(SMALL);
        Box::new(|| keep(fork.resolve_indexed(&fork.states)))
    }),
    ("events.resolve_walking", || {
        let fork = Fork::of(SMALL);
        Box::new(|| keep(fork.resolve()))
    }),
];

const SMALL: Size = Size { ways: 10, state: 1_000 };

fn main() {
    counted::run(CASES);
}
