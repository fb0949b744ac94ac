//! The time that it takes to make an event, to read, check and sign it, and to write it for clients.
//!
//! `cargo bench -p myelin-events --bench rules`
#![allow(clippy::unwrap_used, reason = "a bench that cannot go on should stop")]

mod fixture;

use std::collections::BTreeMap;

use divan::{Bencher, black_box};
use fixture::message::{Hot, Message, VERSION, foreign_json};
use myelin_events::{
    Pdu, auth, canonical,
    client::{Format, Unsigned, write_event},
    verify,
};
use myelin_model::Membership;

fn main() {
    divan::main();
}

/// Hash, sign and name.
#[divan::bench]
fn make_a_message(bencher: Bencher<'_, '_>) {
    let message = Message::new();
    bencher.bench(|| message.build());
}

#[divan::bench]
fn sign(bencher: Bencher<'_, '_>) {
    let message = Message::new();
    let pdu = message.build();
    bencher.bench(|| message.key.sign(black_box(pdu.json()).as_bytes()));
}

/// Hash and signature of a received event.
#[divan::bench]
fn verify_hash_and_signature(bencher: Bencher<'_, '_>) {
    let message = Message::new();
    let pdu = message.build();
    let of_server = BTreeMap::from([(message.key.key_id().to_owned(), message.key.public_key())]);
    let keys = BTreeMap::from([("example.org".to_owned(), of_server)]);
    assert!(matches!(verify::verify(&pdu, &keys), Ok(verify::Verdict::Good)));
    bencher.bench(|| verify::verify(black_box(&pdu), &keys));
}

#[divan::bench]
fn canonical_json(bencher: Bencher<'_, '_>) {
    let json = foreign_json();
    canonical::to_canonical(&json, true).unwrap();
    bencher.bench(|| canonical::to_canonical(black_box(&json), true));
}

#[divan::bench]
fn reference_hash(bencher: Bencher<'_, '_>) {
    let pdu = Message::new().build();
    bencher.bench(|| black_box(&pdu).reference_hash());
}

#[divan::bench]
fn read_a_stored_event(bencher: Bencher<'_, '_>) {
    let pdu = Message::new().build();
    bencher.bench(|| Pdu::from_stored(pdu.event_id.clone(), black_box(pdu.json()), VERSION));
}

#[divan::bench]
fn read_a_foreign_event(bencher: Bencher<'_, '_>) {
    let pdu = Message::new().build();
    bencher.bench(|| Pdu::from_foreign(black_box(pdu.json()), VERSION));
}

/// A message, in a room that is in memory.
#[divan::bench]
fn check_the_auth_rules(bencher: Bencher<'_, '_>) {
    let (pdu, hot) = (Message::new().build(), Hot::new());
    assert!(auth::check(VERSION, &pdu, &hot).is_ok());
    bencher.bench(|| auth::check(VERSION, black_box(&pdu), &hot));
}

/// The timeline of a room in `/sync`, spliced from what the events keep ready.
#[divan::bench]
fn splice_a_timeline_of_50(bencher: Bencher<'_, '_>) {
    let timeline = Message::new().timeline();
    let unsigned =
        Unsigned { age: Some(123_456), membership: Some(Membership::Join), ..Unsigned::default() };
    bencher.with_inputs(|| String::with_capacity(4_096)).bench_refs(|out| {
        for event in &timeline {
            write_event(out, black_box(event), VERSION, Format::Sync, &unsigned);
        }
    });
}
