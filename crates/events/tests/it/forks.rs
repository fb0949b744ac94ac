//! Forks of known outcome, written down by hand: the problems that MSC4297 mends, and the contests that resolution exists for.

use std::{collections::BTreeSet, sync::Arc};

use myelin_events::{Pdu, RoomVersion, resolve};
use ruma::{EventId, OwnedEventId};
use serde_json::{Value, json};

use crate::{
    room::{Room, State},
    ruma_twin,
};

/// One event: name, sender, type, state key, content, names of its auth events. Times follow the order.
type Line =
    (&'static str, &'static str, &'static str, &'static str, Value, &'static [&'static str]);

const ALICE: &str = "@alice:h";
const BOB: &str = "@bob:h";
const CHARLIE: &str = "@charlie:h";
const ELLA: &str = "@ella:h";

fn join(name: &str) -> Value {
    json!({"membership": "join", "displayname": name})
}

fn id(name: &str) -> OwnedEventId {
    EventId::parse(format!("${name}")).unwrap()
}

fn room(version: RoomVersion, lines: &[Line]) -> Room {
    let mut room = Room::new(version);
    let hashed = version.has_hashed_room_ids();
    for (place, (name, sender, event_type, state_key, content, cited)) in lines.iter().enumerate() {
        let is_create = *event_type == "m.room.create";
        let cites_create = (!hashed && !is_create).then_some("create");
        let auth_events: Vec<OwnedEventId> =
            cited.iter().copied().chain(cites_create).map(id).collect();
        let mut event = json!({
            "type": event_type, "sender": sender, "state_key": state_key, "content": content, "origin_server_ts": place,
            "depth": place, "prev_events": if is_create { vec![] } else { vec![id(lines[place - 1].0)] }, "auth_events": auth_events,
        });
        if !(hashed && is_create) {
            event["room_id"] = json!(if hashed { "!create" } else { "!create:h" });
        }
        let pdu = Pdu::from_stored(id(name), event.to_string(), version).unwrap();
        room.push(Arc::new(pdu), State::new());
    }
    room
}

/// Resolve states given by names; of the outcome, say what `common` does not have.
fn check(
    version: RoomVersion,
    lines: &[Line],
    common: &[&str],
    forks: &[&[&str]],
    expect: &[&str],
) {
    let room = room(version, lines);
    let state = |names: &[&str]| -> State {
        common
            .iter()
            .chain(names)
            .map(|name| {
                let number = room.numbers[&id(name)];
                let event = &room.events[number as usize];
                let key = resolve::RoomEvents::key(
                    &room,
                    &event.event_type,
                    event.state_key.as_deref().unwrap(),
                );
                (key.unwrap(), number)
            })
            .collect()
    };
    let states: Vec<State> = forks.iter().map(|names| state(names)).collect();
    let names = room.names(&resolve::resolve(version, &states, &room));
    if let Some(theirs) = ruma_twin::resolve(&room, &states) {
        assert_eq!(names, theirs);
    }
    let got: BTreeSet<String> = names.into_values().map(|id| id.as_str()[1..].to_owned()).collect();
    let expect: BTreeSet<String> =
        common.iter().chain(expect).map(|name| (*name).to_owned()).collect();
    assert_eq!(got, expect, "version {version}");
}

fn beginning(version: RoomVersion, users: &Value) -> Vec<Line> {
    let mut users = users.clone();
    if !version.has_hashed_room_ids() {
        users[ALICE] = json!(100);
    }
    vec![
        (
            "create",
            ALICE,
            "m.room.create",
            "",
            json!({"room_version": version, "creator": ALICE}),
            &[],
        ),
        ("alice", ALICE, "m.room.member", ALICE, join("Alice"), &[]),
        ("levels", ALICE, "m.room.power_levels", "", json!({"users": users}), &["alice"]),
        (
            "rules",
            ALICE,
            "m.room.join_rules",
            "",
            json!({"join_rule": "public"}),
            &["alice", "levels"],
        ),
        ("bob", BOB, "m.room.member", BOB, join("Bob"), &["levels", "rules"]),
        ("charlie", CHARLIE, "m.room.member", CHARLIE, join("Charlie"), &["levels", "rules"]),
    ]
}

/// A room that its admin left: the change of rules is hers, but she is gone from the state that all agree on.
#[test]
fn rules_of_an_admin_who_left() {
    for (version, survives) in [(RoomVersion::V11, false), (RoomVersion::V12, true)] {
        let mut lines = beginning(version, &json!({}));
        lines.extend([
            (
                "rules2",
                ALICE,
                "m.room.join_rules",
                "",
                json!({"join_rule": "invite"}),
                &["levels", "alice"] as &[_],
            ),
            (
                "alice2",
                ALICE,
                "m.room.member",
                ALICE,
                json!({"membership": "leave"}),
                &["levels", "alice"],
            ),
            ("bob2", BOB, "m.room.member", BOB, join("Bob!"), &["levels", "bob", "rules2"]),
            (
                "charlie2",
                CHARLIE,
                "m.room.member",
                CHARLIE,
                join("Charlie!"),
                &["levels", "charlie", "rules2"],
            ),
        ]);
        let forks: &[&[&str]] = &[&["rules2", "charlie", "bob2"], &["rules", "bob", "charlie2"]];
        let expect: &[&str] =
            if survives { &["rules2", "bob2", "charlie2"] } else { &["bob2", "charlie2"] };
        check(version, &lines, &["create", "levels", "alice2"], forks, expect);
    }
}

/// A server whose state fell back to the first power levels: what came between is not in conflict, only on the way.
#[test]
fn levels_on_the_way_between_conflicts() {
    for (version, expect) in [(RoomVersion::V11, "levels"), (RoomVersion::V12, "levels3")] {
        let mut lines = beginning(version, &json!({}));
        let users = |mut users: Value| {
            if !version.has_hashed_room_ids() {
                users[ALICE] = json!(100);
            }
            json!({ "users": users })
        };
        lines.extend([
            (
                "levels2",
                ALICE,
                "m.room.power_levels",
                "",
                users(json!({BOB: 50})),
                &["levels", "alice"] as &[_],
            ),
            (
                "levels3",
                BOB,
                "m.room.power_levels",
                "",
                users(json!({BOB: 50, CHARLIE: 50})),
                &["levels2", "bob"],
            ),
            ("zara", "@zara:h", "m.room.member", "@zara:h", join("Zara"), &["levels3", "rules"]),
            ("eve", "@eve:h", "m.room.member", "@eve:h", join("Eve"), &["levels3", "rules"]),
            (
                "eve2",
                "@eve:h",
                "m.room.member",
                "@eve:h",
                join("Eve!"),
                &["levels3", "eve", "rules"],
            ),
        ]);
        check(
            version,
            &lines,
            &["create", "alice", "rules", "bob", "charlie"],
            &[&["levels", "eve2"], &["levels3", "zara"]],
            &[expect, "eve2", "zara"],
        );
    }
}

fn check_all(
    lines: impl Fn(RoomVersion) -> Vec<Line>,
    common: &[&str],
    forks: &[&[&str]],
    expect: &[&str],
) {
    for version in RoomVersion::ALL.into_iter().filter(|version| *version > RoomVersion::V2) {
        check(version, &lines(version), common, forks, expect);
    }
}

#[test]
fn a_ban_beats_what_the_banned_did_meanwhile() {
    let lines = |version| {
        let mut lines = beginning(version, &json!({BOB: 50}));
        lines.extend([
            (
                "topic",
                BOB,
                "m.room.topic",
                "",
                json!({"topic": "Bob's"}),
                &["levels", "bob"] as &[_],
            ),
            (
                "ban",
                ALICE,
                "m.room.member",
                BOB,
                json!({"membership": "ban"}),
                &["levels", "alice", "bob"],
            ),
        ]);
        lines
    };
    let common = ["create", "alice", "levels", "rules", "charlie"];
    check_all(lines, &common, &[&["bob", "topic"], &["ban"]], &["ban"]);
}

#[test]
fn the_demoted_do_not_promote() {
    let lines = |version| {
        let mut lines = beginning(version, &json!({BOB: 50}));
        let levels = |mut users: Value| {
            if !RoomVersion::has_hashed_room_ids(version) {
                users[ALICE] = json!(100);
            }
            json!({ "users": users })
        };
        lines.extend([
            (
                "demote",
                ALICE,
                "m.room.power_levels",
                "",
                levels(json!({BOB: 0})),
                &["levels", "alice"] as &[_],
            ),
            (
                "promote",
                BOB,
                "m.room.power_levels",
                "",
                levels(json!({BOB: 50, CHARLIE: 50})),
                &["levels", "bob"],
            ),
        ]);
        lines
    };
    check_all(
        lines,
        &["create", "alice", "rules", "bob", "charlie"],
        &[&["promote"], &["demote"]],
        &["demote"],
    );
}

#[test]
fn who_joined_as_the_room_was_closed_is_out() {
    let lines = |version| {
        let mut lines = beginning(version, &json!({}));
        lines.extend([
            (
                "closed",
                ALICE,
                "m.room.join_rules",
                "",
                json!({"join_rule": "invite"}),
                &["levels", "alice"] as &[_],
            ),
            ("ella", ELLA, "m.room.member", ELLA, join("Ella"), &["levels", "rules"]),
        ]);
        lines
    };
    check_all(
        lines,
        &["create", "alice", "levels", "bob", "charlie"],
        &[&["rules", "ella"], &["closed"]],
        &["closed"],
    );
}

#[test]
fn joins_at_the_same_time_both_hold() {
    let lines = |version| {
        let mut lines = beginning(version, &json!({}));
        lines.push(("ella", ELLA, "m.room.member", ELLA, join("Ella"), &["levels", "rules"]));
        lines
    };
    check_all(
        lines,
        &["create", "alice", "levels", "rules"],
        &[&["charlie"], &["ella", "bob"]],
        &["bob", "charlie", "ella"],
    );
}

#[test]
fn the_later_topic_wins_among_equals() {
    let lines = |version| {
        let mut lines = beginning(version, &json!({BOB: 50}));
        lines.extend([
            (
                "early",
                ALICE,
                "m.room.topic",
                "",
                json!({"topic": "1"}),
                &["levels", "alice"] as &[_],
            ),
            ("late", BOB, "m.room.topic", "", json!({"topic": "2"}), &["levels", "bob"]),
        ]);
        lines
    };
    check_all(
        lines,
        &["create", "alice", "levels", "rules", "bob"],
        &[&["early"], &["late"]],
        &["late"],
    );
}

/// The first algorithm, which ruma does not have: expectations follow from the text of version 1.
#[test]
fn the_first_algorithm() {
    let mut lines = beginning(RoomVersion::V1, &json!({BOB: 50}));
    lines.extend([
        ("early", ALICE, "m.room.topic", "", json!({"topic": "1"}), &["levels", "alice"] as &[_]),
        ("late", BOB, "m.room.topic", "", json!({"topic": "2"}), &["levels", "bob"]),
        ("later", BOB, "m.room.topic", "", json!({"topic": "3"}), &["levels", "bob"]),
        (
            "demote",
            ALICE,
            "m.room.power_levels",
            "",
            json!({"users": {ALICE: 100}}),
            &["levels", "alice"],
        ),
        (
            "promote",
            BOB,
            "m.room.power_levels",
            "",
            json!({"users": {ALICE: 100, BOB: 50, CHARLIE: 50}}),
            &["levels", "bob"],
        ),
        (
            "closed",
            ALICE,
            "m.room.join_rules",
            "",
            json!({"join_rule": "invite"}),
            &["levels", "alice"],
        ),
        ("ella", ELLA, "m.room.member", ELLA, join("Ella"), &["levels", "rules"]),
        ("ella2", ELLA, "m.room.member", ELLA, json!({"membership": "leave"}), &["levels", "ella"]),
    ]);
    let common = ["create", "alice", "bob", "charlie"];
    for (forks, expect) in [
        // The deepest topic that is allowed.
        (
            &[&["levels", "rules", "early"][..], &["levels", "rules", "late"]][..],
            &["levels", "rules", "late"][..],
        ),
        // By the levels that hold in the end, Bob's topic is not.
        (
            &[&["demote", "rules", "early"], &["levels", "rules", "late"]],
            &["demote", "rules", "early"],
        ),
        // None is allowed: the least deep.
        (
            &[&["demote", "rules", "late"], &["levels", "rules", "later"]],
            &["demote", "rules", "late"],
        ),
        // The list of levels ends where one is not allowed by those before it.
        (&[&["demote", "rules"], &["promote", "rules"]], &["demote", "rules"]),
        (&[&["levels", "rules"], &["promote", "rules"]], &["promote", "rules"]),
        // What one side does not have is no conflict.
        (&[&["levels", "rules", "ella"], &["levels", "rules"]], &["levels", "rules", "ella"]),
        (&[&["levels", "rules"], &["levels", "closed", "early"]], &["levels", "closed", "early"]),
        // Members are settled after rules: the leave follows the join, whichever rules.
        (
            &[&["levels", "rules", "ella"], &["levels", "closed", "ella2"]],
            &["levels", "closed", "ella2"],
        ),
    ] {
        check(RoomVersion::V1, &lines, &common, forks, expect);
        let turned: Vec<&[&str]> = forks.iter().rev().copied().collect();
        check(RoomVersion::V1, &lines, &common, &turned, expect);
    }
}
