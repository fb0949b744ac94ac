//! The auth rules for member events, as a table.

use myelin_events::{RoomVersion, SigningKey};
use serde_json::{Value, json};

use crate::auth_rules::{ALICE, BOB, CAROL, all, allowing, membership, none, since, until};

#[test]
fn joining() {
    let rule = |rule: &str| (ALICE, "m.room.join_rules", "", json!({ "join_rule": rule }));
    let carol = |kind: &str| (ALICE, "m.room.member", CAROL, membership(kind));
    let via = |user: &str| json!({"membership": "join", "join_authorised_via_users_server": user});
    let invite_50 = (ALICE, "m.room.power_levels", "", json!({"users": {BOB: 50}, "invite": 50}));
    let invite_51 = (ALICE, "m.room.power_levels", "", json!({"users": {BOB: 50}, "invite": 51}));
    for (state, content, expect) in [
        (vec![], membership("join"), all()),
        (vec![carol("ban")], membership("join"), none()),
        (vec![carol("leave")], membership("join"), all()),
        (vec![rule("invite")], membership("join"), none()),
        (vec![rule("invite"), carol("invite")], membership("join"), all()),
        (vec![rule("invite"), carol("join")], membership("join"), all()),
        (vec![rule("invite"), carol("knock")], membership("join"), none()),
        (vec![rule("knock"), carol("invite")], membership("join"), since(RoomVersion::V7)),
        (vec![rule("private"), carol("invite")], membership("join"), none()),
        (vec![rule("restricted")], membership("join"), none()),
        (vec![rule("restricted")], via(BOB), since(RoomVersion::V8)),
        (vec![rule("restricted")], via(CAROL), none()),
        (vec![rule("restricted")], via("no user"), none()),
        (vec![rule("restricted"), carol("invite")], membership("join"), since(RoomVersion::V8)),
        (vec![rule("restricted"), carol("ban")], via(BOB), none()),
        (vec![rule("restricted"), invite_50], via(BOB), since(RoomVersion::V8)),
        (vec![rule("restricted"), invite_51.clone()], via(BOB), none()),
        (vec![rule("restricted"), invite_51], via(ALICE), since(RoomVersion::V12)),
        (vec![rule("knock_restricted")], via(BOB), since(RoomVersion::V10)),
        (
            vec![rule("knock_restricted"), carol("invite")],
            membership("join"),
            since(RoomVersion::V10),
        ),
    ] {
        assert_eq!(
            allowing(&state, CAROL, "m.room.member", Some(CAROL), &content),
            expect,
            "{state:?} {content}"
        );
    }
    assert_eq!(allowing(&[], BOB, "m.room.member", Some(CAROL), &membership("join")), none());
    assert_eq!(allowing(&[], CAROL, "m.room.member", None, &membership("join")), none());
    assert_eq!(allowing(&[], CAROL, "m.room.member", Some("carol"), &membership("join")), none());
    assert_eq!(allowing(&[], CAROL, "m.room.member", Some(CAROL), &json!({})), none());
    assert_eq!(allowing(&[], CAROL, "m.room.member", Some(CAROL), &membership("loiter")), none());
}

#[test]
fn knocking() {
    let rule = |rule: &str| (ALICE, "m.room.join_rules", "", json!({ "join_rule": rule }));
    let carol = |kind: &str| (ALICE, "m.room.member", CAROL, membership(kind));
    for (state, expect) in [
        (vec![], none()),
        (vec![rule("knock")], since(RoomVersion::V7)),
        (vec![rule("knock_restricted")], since(RoomVersion::V10)),
        (vec![rule("restricted")], none()),
        (vec![rule("knock"), carol("leave")], since(RoomVersion::V7)),
        (vec![rule("knock"), carol("knock")], since(RoomVersion::V7)),
        (vec![rule("knock"), carol("ban")], none()),
        (vec![rule("knock"), carol("invite")], none()),
        (vec![rule("knock"), carol("join")], none()),
    ] {
        assert_eq!(
            allowing(&state, CAROL, "m.room.member", Some(CAROL), &membership("knock")),
            expect,
            "{state:?}"
        );
    }
    assert_eq!(
        allowing(&[rule("knock")], BOB, "m.room.member", Some(CAROL), &membership("knock")),
        none()
    );
    let knocking = [rule("knock"), carol("knock")];
    assert_eq!(
        allowing(&knocking, CAROL, "m.room.member", Some(CAROL), &membership("leave")),
        since(RoomVersion::V7)
    );
}

#[test]
fn inviting_kicking_and_banning() {
    let carol = |kind: &str| (ALICE, "m.room.member", CAROL, membership(kind));
    let levels = |levels: Value| (ALICE, "m.room.power_levels", "", levels);
    for (state, sender, target, kind, expect) in [
        (vec![], BOB, CAROL, "invite", all()),
        (vec![carol("join")], BOB, CAROL, "invite", none()),
        (vec![carol("ban")], BOB, CAROL, "invite", none()),
        (vec![carol("knock")], BOB, CAROL, "invite", all()),
        (vec![levels(json!({"invite": 1}))], BOB, CAROL, "invite", none()),
        (vec![], CAROL, "@dave:four", "invite", none()),
        (vec![carol("join")], BOB, CAROL, "leave", all()),
        (vec![carol("invite")], BOB, CAROL, "leave", all()),
        (vec![carol("ban")], BOB, CAROL, "leave", all()),
        (
            vec![carol("ban"), levels(json!({"users": {BOB: 50}, "ban": 51}))],
            BOB,
            CAROL,
            "leave",
            none(),
        ),
        (
            vec![carol("join"), levels(json!({"users": {BOB: 50, CAROL: 50}}))],
            BOB,
            CAROL,
            "leave",
            none(),
        ),
        (vec![carol("join"), levels(json!({"users": {BOB: 49}}))], BOB, CAROL, "leave", none()),
        (vec![carol("join")], CAROL, BOB, "leave", none()),
        (vec![carol("join")], CAROL, CAROL, "leave", all()),
        (vec![carol("invite")], CAROL, CAROL, "leave", all()),
        (vec![carol("ban")], CAROL, CAROL, "leave", none()),
        (vec![], CAROL, CAROL, "leave", none()),
        (vec![carol("join")], BOB, CAROL, "ban", all()),
        (vec![], BOB, CAROL, "ban", all()),
        (vec![], BOB, ALICE, "ban", none()),
        (vec![], BOB, BOB, "ban", none()),
        (vec![levels(json!({"users": {BOB: 1000}}))], BOB, ALICE, "ban", until(RoomVersion::V11)),
        (vec![levels(json!({"users": {BOB: 1000}}))], ALICE, BOB, "ban", since(RoomVersion::V12)),
        (vec![levels(json!({"users": {BOB: 50}, "ban": 51}))], BOB, CAROL, "ban", none()),
    ] {
        assert_eq!(
            allowing(&state, sender, "m.room.member", Some(target), &membership(kind)),
            expect,
            "{state:?} {sender} {target} {kind}"
        );
    }
}

#[test]
fn invites_by_third_parties() {
    let key = SigningKey::from_seed(&[9; 32], "0");
    let signed = |mxid: &str, token: &str| -> Value {
        let signed = json!({"mxid": mxid, "token": token}).to_string();
        serde_json::from_str(&key.sign_json("identity", &signed).unwrap()).unwrap()
    };
    let public_key = key.public_key().to_base64();
    let other_key = SigningKey::from_seed(&[8; 32], "0").public_key().to_base64();
    let pending = |key: &str| {
        (BOB, "m.room.third_party_invite", "token", json!({"public_key": key, "display_name": "c"}))
    };
    let listed = (
        BOB,
        "m.room.third_party_invite",
        "token",
        json!({"public_key": other_key, "public_keys": [{"public_key": public_key}]}),
    );
    let banned = (ALICE, "m.room.member", CAROL, membership("ban"));
    for (state, sender, signed, expect) in [
        (vec![pending(&public_key)], BOB, signed(CAROL, "token"), all()),
        (vec![listed], BOB, signed(CAROL, "token"), all()),
        (vec![pending(&other_key)], BOB, signed(CAROL, "token"), none()),
        (vec![pending(&public_key)], ALICE, signed(CAROL, "token"), none()),
        (vec![pending(&public_key)], BOB, signed(ALICE, "token"), none()),
        (vec![pending(&public_key)], BOB, signed(CAROL, "other"), none()),
        (vec![pending(&public_key), banned], BOB, signed(CAROL, "token"), none()),
        (vec![], BOB, signed(CAROL, "token"), none()),
        (vec![pending(&public_key)], BOB, json!({"mxid": CAROL, "token": "token"}), none()),
        (vec![pending(&public_key)], BOB, json!({}), none()),
    ] {
        let content = json!({"membership": "invite", "third_party_invite": {"signed": signed}});
        assert_eq!(
            allowing(&state, sender, "m.room.member", Some(CAROL), &content),
            expect,
            "{content}"
        );
    }
}
