//! The auth rules as a table: a room, an attempt, and whether each version allows it.

use std::sync::Arc;

use myelin_events::{Pdu, RoomVersion, auth::AuthError};
use ruma::{EventId, OwnedEventId};
use serde_json::{Value, json};

use crate::{
    room::{Room, State},
    ruma_twin,
};

pub const ALICE: &str = "@alice:one";
pub const BOB: &str = "@bob:two";
pub const CAROL: &str = "@carol:three";

fn event(
    version: RoomVersion,
    name: &str,
    sender: &str,
    event_type: &str,
    state_key: Option<&str>,
    content: &Value,
    prev: &[&str],
) -> Pdu {
    let ids = |names: &[&str]| names.iter().map(|name| id(name)).collect::<Vec<_>>();
    let mut event = json!({
        "type": event_type, "sender": sender, "content": content, "room_id": if version.has_hashed_room_ids() { "!create" } else { "!create:one" },
        "origin_server_ts": 1, "depth": 1, "prev_events": ids(prev), "auth_events": [], "redacts": content.get("redacts"),
    });
    if let Some(state_key) = state_key {
        event["state_key"] = json!(state_key);
    }
    if version.has_hashed_room_ids() && event_type == "m.room.create" {
        event.as_object_mut().unwrap().remove("room_id");
    }
    Pdu::from_stored(id(name), event.to_string(), version).unwrap()
}

fn id(name: &str) -> OwnedEventId {
    EventId::parse(format!("${name}")).unwrap()
}

/// Alice made the room and is in it, Bob is in it. `state` comes on top: (sender, type, state key, content).
fn room(version: RoomVersion, state: &[(&str, &str, &str, Value)]) -> (Room, State) {
    let mut levels = json!({"users": {BOB: 50}});
    if !version.has_hashed_room_ids() {
        levels["users"][ALICE] = json!(100);
    }
    let beginning = [
        (ALICE, "m.room.create", "", json!({"creator": ALICE, "room_version": version})),
        (ALICE, "m.room.member", ALICE, json!({"membership": "join"})),
        (ALICE, "m.room.power_levels", "", levels),
        (ALICE, "m.room.join_rules", "", json!({"join_rule": "public"})),
        (BOB, "m.room.member", BOB, json!({"membership": "join"})),
    ];
    let mut room = Room::new(version);
    let mut now = State::new();
    for (place, (sender, event_type, state_key, content)) in
        beginning.iter().chain(state).enumerate()
    {
        let name = if place == 0 { "create".to_owned() } else { format!("event{place}:one") };
        room.push(
            Arc::new(event(version, &name, sender, event_type, Some(state_key), content, &[])),
            now,
        );
        now = room.states_after[place].clone();
    }
    (room, now)
}

/// The versions that allow the attempt. Every verdict must be ruma's.
pub fn allowing(
    state: &[(&str, &str, &str, Value)],
    sender: &str,
    event_type: &str,
    state_key: Option<&str>,
    content: &Value,
) -> Vec<RoomVersion> {
    let is_allowed = |version: &RoomVersion| {
        let (room, now) = room(*version, state);
        let attempt = Arc::new(event(
            *version,
            "attempt:two",
            sender,
            event_type,
            state_key,
            content,
            &["event4:one"],
        ));
        let verdict = room.check(&now, &attempt);
        compare(&room, &now, &attempt, &verdict);
        verdict.is_ok()
    };
    RoomVersion::ALL.into_iter().filter(is_allowed).collect()
}

fn compare(room: &Room, now: &State, attempt: &Arc<Pdu>, verdict: &Result<(), AuthError>) {
    ruma_twin::compare_state_check(room, now, attempt, verdict);
}

pub fn all() -> Vec<RoomVersion> {
    RoomVersion::ALL.to_vec()
}

pub fn none() -> Vec<RoomVersion> {
    Vec::new()
}

pub fn since(first: RoomVersion) -> Vec<RoomVersion> {
    RoomVersion::ALL.into_iter().filter(|version| *version >= first).collect()
}

pub fn until(last: RoomVersion) -> Vec<RoomVersion> {
    RoomVersion::ALL.into_iter().filter(|version| *version <= last).collect()
}

pub fn membership(membership: &str) -> Value {
    json!({ "membership": membership })
}

#[test]
fn sending() {
    let levels = |levels: Value| vec![(ALICE, "m.room.power_levels", "", levels)];
    for (state, sender, event_type, state_key, expect) in [
        (vec![], BOB, "m.room.message", None, all()),
        (vec![], CAROL, "m.room.message", None, none()),
        (vec![], BOB, "m.room.topic", Some(""), all()),
        (levels(json!({"users": {BOB: 49}})), BOB, "m.room.topic", Some(""), none()),
        (levels(json!({"users": {BOB: 49}})), BOB, "m.room.topic", None, all()),
        (
            levels(json!({"users": {BOB: 49}, "events": {"m.room.topic": 49}})),
            BOB,
            "m.room.topic",
            Some(""),
            all(),
        ),
        (levels(json!({"events_default": 1})), BOB, "m.room.message", None, none()),
        (
            levels(json!({"events_default": 1, "users_default": 1})),
            BOB,
            "m.room.message",
            None,
            all(),
        ),
        (
            levels(json!({"events_default": "1", "users_default": " 1 "})),
            BOB,
            "m.room.message",
            None,
            until(RoomVersion::V9),
        ),
        (
            levels(json!({"events_default": 1_000_000})),
            ALICE,
            "m.room.message",
            None,
            since(RoomVersion::V12),
        ),
        (vec![], BOB, "x", Some(BOB), all()),
        (vec![], BOB, "x", Some(ALICE), none()),
        (vec![], BOB, "x", Some("@"), none()),
        (vec![], BOB, "m.room.aliases", Some("two"), all()),
        (vec![], CAROL, "m.room.aliases", Some("three"), until(RoomVersion::V5)),
        (vec![], BOB, "m.room.aliases", Some("one"), since(RoomVersion::V6)),
        (vec![], BOB, "m.room.aliases", None, since(RoomVersion::V6)),
        (
            levels(json!({"invite": 50, "users": {BOB: 50}})),
            BOB,
            "m.room.third_party_invite",
            Some("t"),
            all(),
        ),
        (
            levels(json!({"invite": 51, "users": {BOB: 50}})),
            BOB,
            "m.room.third_party_invite",
            Some("t"),
            none(),
        ),
    ] {
        assert_eq!(
            allowing(&state, sender, event_type, state_key, &json!({})),
            expect,
            "{state:?} {sender} {event_type} {state_key:?}"
        );
    }
}

#[test]
fn redacting_in_old_rooms() {
    let levels = |bob: i64| (ALICE, "m.room.power_levels", "", json!({"users": {BOB: bob}}));
    let by_bob = |bob: i64, redacts: &str| {
        allowing(&[levels(bob)], BOB, "m.room.redaction", None, &json!({ "redacts": redacts }))
    };
    assert_eq!(by_bob(50, "$x:one"), all());
    assert_eq!(by_bob(0, "$x:two"), all());
    assert_eq!(by_bob(0, "$x:one"), since(RoomVersion::V3));
}

#[test]
fn changing_power_levels() {
    let before = json!({"users": {BOB: 50, CAROL: 50}, "events": {"high": 60, "low": 40}, "ban": 60, "kick": 40, "notifications": {"room": 60}});
    for (change, expect) in [
        (json!({}), all()),
        (json!({"/kick": 50}), all()),
        (json!({"/kick": 51}), none()),
        (json!({"/ban": 50}), none()),
        (json!({"/invite": 51}), none()),
        (json!({"/state_default": 50}), all()),
        (json!({"/users_default": 50}), all()),
        (json!({"/events/low": 50}), all()),
        (json!({"/events/low": 51}), none()),
        (json!({"/events/high": 40}), none()),
        (json!({"/events/new": 51}), none()),
        (json!({"/notifications/room": 40}), until(RoomVersion::V5)),
        (json!({"/notifications/new": 51}), until(RoomVersion::V5)),
        (json!({"/users/@dave:four": 50}), all()),
        (json!({"/users/@dave:four": 51}), none()),
        (json!({"/users/@carol:three": 40}), none()),
        (json!({"/users/@bob:two": 40}), all()),
        (json!({"/users/@bob:two": 51}), none()),
        (json!({"/users/@alice:one": 5}), until(RoomVersion::V11)),
        (json!({"/users/dave": 5}), none()),
        (json!({"/users": []}), none()),
        (json!({"/kick": "50"}), until(RoomVersion::V9)),
        (json!({"/events/low": "45"}), until(RoomVersion::V9)),
        (json!({"/users/@dave:four": "+5"}), until(RoomVersion::V9)),
        (json!({"/users/@dave:four": "five"}), none()),
        (json!({"/kick": null}), none()),
    ] {
        let mut content = before.clone();
        for (path, value) in change.as_object().unwrap() {
            match content.pointer_mut(path) {
                Some(place) => *place = value.clone(),
                None => {
                    let (parent, key) = path.rsplit_once('/').unwrap();
                    content.pointer_mut(parent).unwrap()[key] = value.clone();
                }
            }
        }
        let state = [(ALICE, "m.room.power_levels", "", before.clone())];
        assert_eq!(
            allowing(&state, BOB, "m.room.power_levels", Some(""), &content),
            expect,
            "{change}"
        );
    }
}

/// Odd levels of older rooms hurt nobody else. It is done without ruma, which refuses them.
#[test]
fn odd_levels_hurt_nobody_else() {
    let ours = |levels: &Value, event_type: &str, state_key: Option<&str>, content: &Value| {
        let versions = RoomVersion::ALL.into_iter().filter(|version| {
            let state = [(ALICE, "m.room.power_levels", "", levels.clone())];
            let (room, now) = room(*version, &state);
            let attempt = event(
                *version,
                "attempt:two",
                BOB,
                event_type,
                state_key,
                content,
                &["event5:one"],
            );
            room.check(&now, &attempt).is_ok()
        });
        versions.collect::<Vec<_>>()
    };
    let topic = json!({"topic": "x"});
    let odd_user = json!({"users": {BOB: 50, "@x:my_server": 5}});
    assert_eq!(ours(&odd_user, "m.room.topic", Some(""), &topic), all());
    let more = json!({"users": {BOB: 50, "@x:my_server": 6, "@y:my_server": 5}});
    assert_eq!(ours(&odd_user, "m.room.power_levels", Some(""), &more), all());
    let no_user = json!({"users": {BOB: 50, "x:y": 5}});
    assert_eq!(ours(&odd_user, "m.room.power_levels", Some(""), &no_user), none());
    // An absent level is not its default when levels are compared.
    let low = json!({"users": {BOB: 40}, "events": {"m.room.power_levels": 40}});
    let with_ban = json!({"users": {BOB: 40}, "events": {"m.room.power_levels": 40}, "ban": 30});
    assert_eq!(ours(&low, "m.room.power_levels", Some(""), &with_ban), all());
    assert_eq!(ours(&with_ban, "m.room.power_levels", Some(""), &low), all());
    // One entry that cannot be read stops what it is about, and nothing else; `null` is as good as nothing.
    let odd_entry = json!({"users": {BOB: 50}, "events": {"m.room.name": "x"}, "kick": null});
    assert_eq!(ours(&odd_entry, "m.room.topic", Some(""), &topic), all());
    assert_eq!(ours(&odd_entry, "m.room.name", Some(""), &topic), none());
    let kick = json!({"membership": "leave"});
    assert_eq!(
        ours(&odd_entry, "m.room.member", Some("@carol:three"), &kick),
        until(RoomVersion::V9)
    );
}

#[test]
fn rooms_that_do_not_federate() {
    let expect = |federate: Value| {
        RoomVersion::ALL.into_iter().filter(move |version| {
            let content =
                json!({"creator": ALICE, "room_version": version, "m.federate": federate});
            let (room, now) = room(*version, &[(ALICE, "m.room.create", "", content)]);
            let attempt = Arc::new(event(
                *version,
                "attempt:two",
                BOB,
                "m.room.message",
                None,
                &json!({}),
                &["event4:one"],
            ));
            let verdict = room.check(&now, &attempt);
            compare(&room, &now, &attempt, &verdict);
            verdict.is_ok()
        })
    };
    assert_eq!(expect(json!(false)).count(), 0);
    assert_eq!(expect(json!(true)).count(), 12);
    assert_eq!(expect(json!("no")).count(), 0);
}

#[test]
fn creating() {
    for (content, prev, expect) in [
        (json!({"creator": ALICE}), vec![], vec![RoomVersion::V1]),
        (json!({"creator": ALICE, "room_version": "*"}), vec![], all()),
        (json!({"creator": ALICE, "room_version": "*"}), vec!["x"], none()),
        (json!({"room_version": "*"}), vec![], since(RoomVersion::V11)),
        (json!({"creator": ALICE, "room_version": "unheard of"}), vec![], none()),
        (
            json!({"creator": ALICE, "room_version": "*", "additional_creators": [BOB]}),
            vec![],
            all(),
        ),
        (
            json!({"creator": ALICE, "room_version": "*", "additional_creators": ["bob"]}),
            vec![],
            until(RoomVersion::V11),
        ),
        (
            json!({"creator": ALICE, "room_version": "*", "additional_creators": BOB}),
            vec![],
            until(RoomVersion::V11),
        ),
    ] {
        let is_allowed = |version: &RoomVersion| {
            let mut content = content.clone();
            if content["room_version"] == "*" {
                content["room_version"] = json!(version);
            }
            Room::new(*version)
                .check(
                    &State::new(),
                    &event(*version, "create", ALICE, "m.room.create", Some(""), &content, &prev),
                )
                .is_ok()
        };
        let allowing: Vec<_> = RoomVersion::ALL.into_iter().filter(is_allowed).collect();
        assert_eq!(allowing, expect, "{content} {prev:?}");
    }
    let of_another = event(
        RoomVersion::V11,
        "create",
        BOB,
        "m.room.create",
        Some(""),
        &json!({"room_version": "11"}),
        &[],
    );
    assert_eq!(
        Room::new(RoomVersion::V11).check(&State::new(), &of_another),
        Err(AuthError::CreateRoomId)
    );
}

#[test]
fn additional_creators_stand_above_all() {
    for version in [RoomVersion::V11, RoomVersion::V12] {
        let content =
            json!({"creator": ALICE, "room_version": version, "additional_creators": [CAROL]});
        let state = [
            (ALICE, "m.room.create", "", content),
            (CAROL, "m.room.member", CAROL, membership("join")),
            (ALICE, "m.room.power_levels", "", json!({"users": {BOB: 9_007_199_254_740_991_i64}})),
        ];
        let (room, now) = room(version, &state);
        let ban = |sender: &str, target: &str| {
            let attempt = Arc::new(event(
                version,
                "attempt:two",
                sender,
                "m.room.member",
                Some(target),
                &membership("ban"),
                &["event4:one"],
            ));
            let verdict = room.check(&now, &attempt);
            compare(&room, &now, &attempt, &verdict);
            verdict.is_ok()
        };
        assert_eq!(ban(CAROL, BOB), version == RoomVersion::V12);
        assert_eq!(ban(BOB, CAROL), version == RoomVersion::V11);
        assert!(!ban(CAROL, ALICE));
    }
}

#[test]
fn citing() {
    let version = RoomVersion::V11;
    let (mut room, _) = room(
        version,
        &[(ALICE, "m.room.topic", "", json!({})), (ALICE, "m.room.power_levels", "", json!({}))],
    );
    let cite = |room: &Room, names: &[&str]| {
        let auth_events: Vec<_> = names.iter().map(|name| id(name)).collect();
        let event = json!({
            "type": "m.room.message", "sender": ALICE, "content": {}, "room_id": "!create:one", "origin_server_ts": 1, "depth": 1,
            "prev_events": [], "auth_events": auth_events,
        });
        room.check_auth_events(
            &Pdu::from_stored(id("attempt"), event.to_string(), version).unwrap(),
        )
    };
    // 1 is Alice's membership, 2 and 6 are power levels, 4 is Bob's membership, 5 the topic.
    let create = "create";
    let refused = |room: &Room, names: &[&str]| {
        matches!(cite(room, names), Err(AuthError::BadAuthEvent { .. }))
    };
    assert_eq!(cite(&room, &[create, "event1:one", "event2:one"]), Ok(()));
    assert_eq!(cite(&room, &[create]), Ok(()));
    assert_eq!(cite(&room, &["event1:one"]), Err(AuthError::NoCreate));
    assert_eq!(cite(&room, &[create, "nowhere"]), Err(AuthError::MissingAuthEvent(id("nowhere"))));
    assert!(refused(&room, &[create, "event2:one", "event6:one"]));
    assert!(refused(&room, &[create, create]));
    assert!(refused(&room, &[create, "event4:one"]));
    assert!(refused(&room, &[create, "event5:one"]));
    let mut elsewhere = (*room.events[1]).clone();
    elsewhere.room_id = ruma::owned_room_id!("!else:one");
    elsewhere.event_id = id("elsewhere");
    let mut rejected = (*room.events[1]).clone();
    rejected.rejected = true;
    rejected.event_id = id("rejected");
    for event in [elsewhere, rejected] {
        let name = event.event_id.as_str()[1..].to_owned();
        room.push(Arc::new(event), State::new());
        assert!(refused(&room, &[create, &name]), "{name}");
    }
}
