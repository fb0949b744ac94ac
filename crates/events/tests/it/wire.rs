//! Events of other servers: their form, hashes and signatures.

use std::collections::BTreeMap;

use myelin_events::{
    NewEvent, Pdu, PublicKey, RoomVersion, SigningKey,
    canonical::to_canonical,
    verify::{self, Verdict},
};
use ruma::{room_id, server_name, user_id};
use serde_json::{Value, json};

const SPEC_SEED: &str = "ed25519 1 YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1";

fn keys(server: &str, key: &SigningKey) -> BTreeMap<String, BTreeMap<String, PublicKey>> {
    BTreeMap::from([(
        server.to_owned(),
        BTreeMap::from([(key.key_id().to_owned(), key.public_key())]),
    )])
}

/// The signed events of the appendices ("Cryptographic Test Vectors"), with the fields that they leave out where an event must have them.
#[test]
fn signed_events_of_the_appendices_hold() {
    let key = SigningKey::parse_file(SPEC_SEED).unwrap().remove(0);
    let minimal = json!({
        "auth_events": [], "content": {}, "depth": 3, "hashes": {"sha256": "5jM4wQpv6lnBo7CLIghJuHdW+s2CMBJPUOGOC89ncos"},
        "origin": "domain", "origin_server_ts": 1_000_000, "prev_events": [], "room_id": "!x:domain", "sender": "@a:domain",
        "signatures": {"domain": {
            "ed25519:1": "KxwGjPSDEtvnFgU00fwFz+l6d2pJM6XBIaMEn81SXPTRl16AqLAYqfIReFGZlHi5KLjAWbOoMszkwsQma+lYAg"
        }},
        "type": "X", "unsigned": {"age_ts": 1_000_000},
    });
    // A version of the time when `origin` was signed, and without `event_id`.
    let pdu = Pdu::from_foreign(&minimal.to_string(), RoomVersion::V3).unwrap();
    assert!(matches!(verify::verify(&pdu, &keys("domain", &key)).unwrap(), Verdict::Good));
    assert!(!pdu.json().contains("unsigned"));

    // Written again by the signer, the signature comes out the same.
    let mut unsigned = minimal.clone();
    unsigned["signatures"] = json!({});
    let bare = Pdu::from_foreign(&unsigned.to_string(), RoomVersion::V3).unwrap();
    let signed = verify::add_signature(&bare, server_name!("domain"), &key).unwrap();
    assert_eq!(signed.json(), pdu.json());
    assert_eq!(signed.event_id, pdu.event_id);
}

fn message(version: RoomVersion, key: &SigningKey) -> Value {
    let room_id = if version.has_hashed_room_ids() {
        room_id!("!1KDA5dyvK2cpsQnWy7aUGYJXxqf_AuyJNnvJTSB3pS0")
    } else {
        room_id!("!r:h")
    };
    let new = NewEvent {
        room_id: Some(room_id),
        sender: user_id!("@u:h"),
        event_type: "m.room.message",
        state_key: None,
        content: r#"{"body":"x"}"#,
        redacts: None,
        prev_events: &[],
        auth_events: &[],
        reference_hashes: None,
        depth: 1,
        origin_server_ts: 1,
    };
    serde_json::from_str(new.build(version, server_name!("h"), key).unwrap().json()).unwrap()
}

#[test]
fn verdicts_on_hash_and_signature() {
    let key = SigningKey::from_seed(&[1; 32], "k");
    let other = SigningKey::from_seed(&[2; 32], "k");
    for version in RoomVersion::ALL {
        let verdict = |event: &Value, keys: &BTreeMap<String, BTreeMap<String, PublicKey>>| {
            verify::verify(&Pdu::from_foreign(&event.to_string(), version).unwrap(), keys).unwrap()
        };
        let good = message(version, &key);
        assert!(matches!(verdict(&good, &keys("h", &key)), Verdict::Good));
        assert!(
            matches!(verdict(&good, &keys("h", &other)), Verdict::BadSignature(server) if server == "h")
        );
        assert!(matches!(verdict(&good, &keys("x", &key)), Verdict::BadSignature(_)));

        let mut changed = good.clone();
        changed["content"]["body"] = json!("y");
        match verdict(&changed, &keys("h", &key)) {
            Verdict::Redacted(pdu) => {
                assert_eq!(pdu.content(), "{}");
                assert_eq!(
                    pdu.event_id,
                    Pdu::from_foreign(&good.to_string(), version).unwrap().event_id
                );
            }
            other => panic!("{other:?}"),
        }
        let mut resent = good.clone();
        resent["sender"] = json!("@v:h");
        assert!(matches!(verdict(&resent, &keys("h", &key)), Verdict::BadSignature(_)));
        let mut unsigned = good.clone();
        unsigned["signatures"] = json!({"h": {"rsa:k": "x", "ed25519:unknown": "x"}});
        assert!(matches!(verdict(&unsigned, &keys("h", &key)), Verdict::BadSignature(_)));
    }
}

#[test]
fn who_must_have_signed() {
    let join = json!({"membership": "join", "join_authorised_via_users_server": "@r:resident"});
    let by_email = json!({"membership": "invite", "third_party_invite": {"signed": {}}});
    for (version, content, expect) in [
        (RoomVersion::V1, json!({"membership": "join"}), vec!["one", "two"]),
        (RoomVersion::V2, by_email.clone(), vec!["two"]),
        (RoomVersion::V3, by_email, vec![]),
        (RoomVersion::V7, join.clone(), vec!["one"]),
        (RoomVersion::V8, join.clone(), vec!["one", "resident"]),
        (RoomVersion::V12, join, vec!["one", "resident"]),
        (
            RoomVersion::V12,
            json!({"membership": "leave", "join_authorised_via_users_server": "@r:resident"}),
            vec!["one"],
        ),
    ] {
        let event = json!({
            "type": "m.room.member", "sender": "@u:one", "state_key": "@u:one", "content": content, "room_id": "!r:one",
            "origin_server_ts": 1, "depth": 1, "prev_events": [], "auth_events": [], "event_id": "$e:two",
        });
        let pdu =
            Pdu::from_stored(ruma::owned_event_id!("$e:two"), event.to_string(), version).unwrap();
        assert_eq!(verify::signing_servers(&pdu), expect, "version {version} {content}");
    }
}

/// Put a value in a good event; the version must then refuse the event, or not.
fn check_with(version: RoomVersion, path: &str, value: Value, is_refused: bool) {
    let (parent, key) = path.rsplit_once('/').unwrap();
    check_form(
        version,
        |event| event.pointer_mut(parent).unwrap()[key] = value.clone(),
        is_refused,
    );
}

fn check_form(version: RoomVersion, change: impl Fn(&mut Value), is_refused: bool) {
    let mut event = message(version, &SigningKey::from_seed(&[1; 32], "k"));
    change(&mut event);
    let read = Pdu::from_foreign(&event.to_string(), version);
    assert_eq!(read.is_err(), is_refused, "version {version}: {event} {read:?}");
}

#[test]
fn events_that_lack_something_are_refused() {
    let keys = [
        "type",
        "sender",
        "room_id",
        "content",
        "depth",
        "origin_server_ts",
        "prev_events",
        "auth_events",
        "hashes",
        "signatures",
    ];
    for version in RoomVersion::ALL {
        check_form(version, |_| (), false);
        for key in keys {
            check_form(version, |event| drop(event.as_object_mut().unwrap().remove(key)), true);
            check_with(version, &format!("/{key}"), Value::Null, true);
            check_with(version, &format!("/{key}"), json!(true), true);
        }
    }
}

#[test]
fn malformed_fields_are_refused() {
    for version in RoomVersion::ALL {
        let strict = version.is_json_strict();
        for (path, value, is_refused) in [
            ("/state_key", json!(""), false),
            ("/state_key", json!(null), true),
            ("/state_key", json!(1), true),
            ("/state_key", json!("x".repeat(255)), false),
            ("/state_key", json!("x".repeat(256)), true),
            ("/type", json!("x".repeat(256)), true),
            ("/sender", json!("u:h"), true),
            ("/sender", json!(format!("@{}:h", "x".repeat(253))), true),
            ("/room_id", json!("r:h"), true),
            ("/content", json!([]), true),
            ("/content/body", json!("x".repeat(64_000)), false),
            ("/content/body", json!("x".repeat(65_536)), true),
            ("/hashes", json!({}), true),
            ("/hashes", json!({"sha256": 1}), true),
            ("/signatures", json!({"h": 1}), true),
            ("/depth", json!(-1), true),
            ("/depth", json!(9_007_199_254_740_991_i64), false),
            ("/unsigned", json!({"age": 1, "x": "y".repeat(70_000)}), false),
            ("/event_id", json!("$x"), version.has_chosen_event_ids()),
            ("/content/n", json!(1.5), strict),
            ("/content/n", json!(9_007_199_254_740_992_i64), strict),
        ] {
            check_with(version, path, value, is_refused);
        }
    }
}

#[test]
fn references_have_the_form_of_the_version_and_are_not_too_many() {
    let many = |count: usize| {
        Value::from((0..count).map(|number| format!("${number}")).collect::<Vec<_>>())
    };
    for version in RoomVersion::ALL {
        let pairs = version.has_chosen_event_ids();
        check_with(version, "/prev_events", json!(["$a"]), pairs);
        check_with(version, "/prev_events", json!([["$a", {"sha256": "x"}]]), !pairs);
        check_with(version, "/prev_events", json!([1]), true);
        if !pairs {
            check_with(version, "/prev_events", many(20), false);
            check_with(version, "/prev_events", many(21), true);
            check_with(version, "/auth_events", many(10), false);
            check_with(version, "/auth_events", many(11), true);
        }
    }
}

#[test]
fn rooms_named_by_their_create_event_are_named_so_everywhere() {
    for version in RoomVersion::ALL {
        let hashed = version.has_hashed_room_ids();
        check_with(version, "/type", json!("m.room.create"), hashed);
        check_with(version, "/room_id", json!("!r:h"), hashed);
        if hashed {
            let create = json!(["$1KDA5dyvK2cpsQnWy7aUGYJXxqf_AuyJNnvJTSB3pS0"]);
            check_with(version, "/auth_events", create, true);
        }
    }
}

#[test]
fn spelling_does_not_change_an_event() {
    let event = message(RoomVersion::V11, &SigningKey::from_seed(&[1; 32], "k"));
    let pretty = serde_json::to_string_pretty(&event).unwrap().replace("\"x\"", "\"\\u0078\"");
    let read = Pdu::from_foreign(&pretty, RoomVersion::V11).unwrap();
    assert_eq!(read.json(), to_canonical(&event.to_string(), true).unwrap());
}

#[test]
fn deep_or_broken_json_is_refused() {
    for json in ["", "[]", "{", "null", "{}", &format!("{{\"content\":{}", "[".repeat(100_000))] {
        assert!(Pdu::from_foreign(json, RoomVersion::V11).is_err());
    }
}
