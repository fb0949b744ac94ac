//! How long the hot parts take: making an event, checking it, and resolving a fork in a room of 10,000 members, beside ruma.
//!
//! `cargo bench -p myelin-events`. Prints microseconds a call.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    missing_docs,
    dead_code,
    reason = "a bench that cannot go on should stop"
)]

#[path = "../tests/it/room.rs"]
mod room;
#[path = "../tests/it/ruma_twin.rs"]
mod ruma_twin;

use std::{
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};

use myelin_events::{
    NewEvent, Pdu, RoomVersion, SigningKey,
    auth::{self, AuthState, Create, JoinRule, PowerLevels, ThirdPartyInviteKeys},
    resolve::{self, Conflict, RoomEvents},
};
use myelin_model::Membership;
use room::{Room, State};
use ruma::{EventId, OwnedEventId, UserId, room_id, server_name, user_id};
use serde_json::{Value, json};

const MEMBERS: usize = 10_000;

fn main() {
    making_and_checking();
    for version in [RoomVersion::V11, RoomVersion::V12] {
        resolving(version);
    }
}

/// Repeat for about a second.
fn report(what: &str, mut call: impl FnMut()) -> Duration {
    call();
    let start = Instant::now();
    let mut calls = 0;
    while calls == 0 || start.elapsed() < Duration::from_secs(1) {
        call();
        calls += 1;
    }
    let each = start.elapsed() / calls;
    println!("{what:<60} {:>12.1} us", each.as_secs_f64() * 1e6);
    each
}

/// A room held in memory: what the rules ask is parsed already.
struct Hot {
    create: Arc<Create>,
    levels: Arc<PowerLevels>,
}

impl AuthState for Hot {
    fn create(&self) -> Option<Arc<Create>> {
        Some(self.create.clone())
    }

    fn power_levels(&self, _: &Arc<Create>) -> Arc<PowerLevels> {
        self.levels.clone()
    }

    fn join_rule(&self) -> JoinRule {
        JoinRule::Public
    }

    fn membership(&self, _: &UserId) -> Option<Membership> {
        Some(Membership::Join)
    }

    fn third_party_invite(&self, _: &str) -> Option<ThirdPartyInviteKeys> {
        None
    }
}

fn making_and_checking() {
    let key = SigningKey::from_seed(&[1; 32], "k");
    let refs: Vec<OwnedEventId> =
        (0..3).map(|n| EventId::parse(format!("${:0>43}", n)).unwrap()).collect();
    let new = NewEvent {
        room_id: Some(room_id!("!1KDA5dyvK2cpsQnWy7aUGYJXxqf_AuyJNnvJTSB3pS0")),
        sender: user_id!("@user:example.org"),
        event_type: "m.room.message",
        state_key: None,
        content: r#"{"msgtype":"m.text","body":"Good morning, how are you all?","m.mentions":{}}"#,
        redacts: None,
        prev_events: &refs[..1],
        auth_events: &refs,
        reference_hashes: None,
        depth: 1000,
        origin_server_ts: 1_700_000_000_000,
    };
    let pdu = new.build(RoomVersion::V12, server_name!("example.org"), &key).unwrap();
    report("make a message (hash, sign, name)", || {
        drop(black_box(new.build(RoomVersion::V12, server_name!("example.org"), &key)))
    });
    report("  of this the signature", || drop(black_box(key.sign(pdu.json().as_bytes()))));
    report("read a stored event", || {
        drop(black_box(Pdu::from_stored(pdu.event_id.clone(), pdu.json(), RoomVersion::V12)))
    });
    report("read a foreign event", || {
        drop(black_box(Pdu::from_foreign(pdu.json(), RoomVersion::V12)))
    });
    let create = Arc::new(Create {
        version: RoomVersion::V12,
        event_id: refs[0].clone(),
        sender: user_id!("@admin:example.org").to_owned(),
        creator: user_id!("@admin:example.org").to_owned(),
        additional_creators: Vec::new(),
        federate: true,
    });
    let levels =
        Arc::new(PowerLevels::new(create.clone(), Some(r#"{"users":{"@user:example.org":50}}"#)));
    let hot = Hot { create, levels };
    report("check a message in a hot room", || {
        drop(black_box(auth::check(RoomVersion::V12, &pdu, &hot)))
    });
}

struct Maker {
    room: Room,
    version: RoomVersion,
}

impl Maker {
    fn push(
        &mut self,
        sender: &str,
        event_type: &str,
        state_key: &str,
        content: &Value,
        cited: &[u32],
        state: &State,
    ) -> (u32, State) {
        let place = self.room.events.len();
        let hashed = self.version.has_hashed_room_ids();
        let is_create = event_type == "m.room.create";
        let cites_create = (!hashed && !is_create).then_some(0);
        let auth_events: Vec<OwnedEventId> = cited
            .iter()
            .copied()
            .chain(cites_create)
            .map(|number| self.room.events[number as usize].event_id.clone())
            .collect();
        let mut event = json!({
            "type": event_type, "sender": sender, "state_key": state_key, "content": content, "origin_server_ts": place, "depth": place,
            "prev_events": if is_create { json!([]) } else { json!([format!("${:0>43}", place - 1)]) }, "auth_events": auth_events,
        });
        if !(hashed && is_create) {
            event["room_id"] = json!(format!("!{:0>43}{}", 0, if hashed { "" } else { ":h" }));
        }
        let pdu = Pdu::from_stored(
            EventId::parse(format!("${place:0>43}")).unwrap(),
            event.to_string(),
            self.version,
        )
        .unwrap();
        self.room.push(Arc::new(pdu), state.clone());
        (u32::try_from(place).unwrap(), self.room.states_after.last().unwrap().clone())
    }
}

fn resolving(version: RoomVersion) {
    let mut maker = Maker { room: Room::new(version), version };
    let admin = "@admin:h";
    let join = json!({"membership": "join"});
    let (_, state) = maker.push(
        admin,
        "m.room.create",
        "",
        &json!({"creator": admin, "room_version": version}),
        &[],
        &State::new(),
    );
    let (admin_join, state) = maker.push(admin, "m.room.member", admin, &join, &[], &state);
    let users = if version.has_hashed_room_ids() {
        json!({"@user0:h": 50})
    } else {
        json!({"@user0:h": 50, "@admin:h": 100})
    };
    let (levels, state) = maker.push(
        admin,
        "m.room.power_levels",
        "",
        &json!({ "users": users }),
        &[admin_join],
        &state,
    );
    let (rules, mut state) = maker.push(
        admin,
        "m.room.join_rules",
        "",
        &json!({"join_rule": "public"}),
        &[admin_join, levels],
        &state,
    );
    let mut joins = Vec::new();
    for number in 0..MEMBERS {
        let user = format!("@user{number}:h");
        let (number, after) =
            maker.push(&user, "m.room.member", &user, &join, &[levels, rules], &state);
        joins.push(number);
        state = after;
    }
    // One side bans three and sets a topic; on the other these rename themselves, and the moderator sets another topic.
    let (mut one, mut two) = (state.clone(), state);
    for (number, own) in joins.iter().copied().enumerate().take(4).skip(1) {
        let user = format!("@user{number}:h");
        one = maker
            .push(
                admin,
                "m.room.member",
                &user,
                &json!({"membership": "ban"}),
                &[admin_join, levels, own],
                &one,
            )
            .1;
        let renamed = json!({"membership": "join", "displayname": "x"});
        two = maker.push(&user, "m.room.member", &user, &renamed, &[levels, rules, own], &two).1;
    }
    one = maker
        .push(admin, "m.room.topic", "", &json!({"topic": "1"}), &[admin_join, levels], &one)
        .1;
    two = maker
        .push("@user0:h", "m.room.topic", "", &json!({"topic": "2"}), &[joins[0], levels], &two)
        .1;

    let room = &maker.room;
    let states = [one, two];
    let difference = Conflict::split(version, &states).auth_difference(room);
    let indexed =
        report(&format!("resolve {MEMBERS} members, version {version}, with an index"), || {
            drop(black_box(Conflict::split(version, &states).resolve(
                version,
                room,
                difference.iter().copied(),
            )));
        });
    let walking = report("  walking the auth chains", || {
        drop(black_box(resolve::resolve(version, &states, room)))
    });
    let outcome = room.names(&resolve::resolve(version, &states, room));
    let prepared = ruma_twin::Prepared::new(room, &states);
    assert_eq!(Some(outcome), prepared.resolve());
    let theirs =
        report("  ruma, maps and chains made beforehand", || drop(black_box(prepared.resolve())));
    println!(
        "  {:.0} times quicker with an index, {:.1} walking",
        theirs.as_secs_f64() / indexed.as_secs_f64(),
        theirs.as_secs_f64() / walking.as_secs_f64()
    );
    assert!(room.create().is_some());
}
