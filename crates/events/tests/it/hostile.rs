//! Whatever arrives, nothing panics, and what is read is read as ruma reads it.

use std::sync::Arc;

use myelin_events::{
    Pdu, PublicKey, RoomVersion, SigningKey,
    acl::{self, ServerAcl},
    auth::{self, Create, JoinRule, PowerLevels},
    canonical::to_canonical,
    pdu,
    push::PushEvent,
    redact, verify,
    visibility::HistoryVisibility,
};
use proptest::prelude::*;
use ruma::{CanonicalJsonValue, owned_event_id, owned_user_id, user_id};
use serde_json::{Value, json};

use crate::room::{Room, State};

/// JSON with the words that rules look for, in places where they belong and where they do not.
fn any_json() -> impl Strategy<Value = Value> {
    let word = prop::sample::select(
        &[
            "type",
            "content",
            "sender",
            "room_id",
            "state_key",
            "membership",
            "join",
            "invite",
            "third_party_invite",
            "signed",
            "token",
            "mxid",
            "signatures",
            "users",
            "events",
            "ban",
            "@u:h",
            "!r:h",
            "$e",
            "redacts",
            "hashes",
            "sha256",
            "prev_events",
            "auth_events",
            "depth",
            "m.room.member",
            "m.room.create",
            "m.room.power_levels",
            "join_rule",
            "allow",
            "deny",
            "50",
            "",
        ][..],
    );
    let text = prop_oneof![word.prop_map(str::to_owned), any::<String>()];
    let number = prop_oneof![
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-100_i64..100).prop_map(Value::from)
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        number,
        any::<i16>().prop_map(|eighths| Value::from(f64::from(eighths) / 8.0)),
        text.clone().prop_map(Value::from)
    ];
    leaf.prop_recursive(5, 60, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(text.clone(), inner, 0..8)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn canonical_json_is_rumas(value in any_json()) {
        let text = serde_json::to_string_pretty(&value).unwrap();
        let ours = to_canonical(&text, true).ok();
        let theirs = serde_json::from_str::<CanonicalJsonValue>(&text).ok().map(|value| value.to_string());
        prop_assert_eq!(&ours, &theirs);
        if let Some(ours) = ours {
            prop_assert_eq!(to_canonical(&ours, true).unwrap(), ours);
        }
        let lax = to_canonical(&text, false).unwrap();
        prop_assert_eq!(serde_json::from_str::<Value>(&lax).unwrap(), value);
    }

    #[test]
    fn any_text_is_read_or_refused(text in any::<String>(), json in any_json()) {
        for text in [text, json.to_string()] {
            for version in [RoomVersion::V1, RoomVersion::V11, RoomVersion::V12] {
                let _ = Pdu::from_foreign(&text, version);
                let _ = Pdu::parse(text.as_str(), version);
                let _ = redact::redact_event(&text, version);
            }
            let _ = acl::matches(&text, "example.org");
            let _ = ServerAcl::parse(&text);
            let _ = JoinRule::parse(&text);
            let _ = HistoryVisibility::parse(&text);
            let _ = PushEvent::new(&text);
            let _ = SigningKey::parse_file(&text);
            let _ = PublicKey::from_base64(&text);
            let _ = verify::content_hash(&text);
            let _ = auth::version_of(&text);
            let _ = pdu::content_of(&text);
            let _ = to_canonical(&text, false);
        }
    }

    /// Numbers of old rooms keep their value, and their canonical spelling is canonical.
    #[test]
    fn any_number_is_spelled_once(
        text in "-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?",
        beside in any::<String>(),
    ) {
        let text = format!("[{},{text}]", serde_json::to_string(&beside).unwrap());
        let Ok(lax) = to_canonical(&text, false) else { return Ok(()) };
        prop_assert_eq!(&to_canonical(&lax, false).unwrap(), &lax);
        let numbers = [&text, &lax].map(|text| serde_json::from_str::<(String, f64)>(text).unwrap().1);
        prop_assert!((numbers[0] - numbers[1]).abs() <= numbers[0].abs() * 1e-15 + 1e-300, "{text} {lax}");
    }

    /// Patterns that make others try every way to match take no longer than their length asks for.
    #[test]
    fn patterns_match_in_bounded_time(stars in 1..40_usize, letters in "[ab]{0,60}") {
        let pattern = "a*".repeat(stars) + "c";
        let started = std::time::Instant::now();
        let _ = acl::matches(&pattern, &("a".repeat(200) + &letters));
        prop_assert!(started.elapsed() < std::time::Duration::from_secs(1));
    }

    /// Events of good form with any content pass through all the rules.
    #[test]
    fn any_content_is_judged(
        content in any_json(),
        levels in any_json(),
        kind in prop::sample::select(&["m.room.member", "m.room.power_levels", "m.room.create", "m.room.join_rules", "m.room.redaction", "x"][..]),
        version in prop::sample::select(&RoomVersion::ALL[..]),
    ) {
        let content = if content.is_object() { content } else { json!({ "x": content }) };
        let event = json!({
            "type": kind, "sender": "@u:h", "state_key": "@u:h", "content": content, "room_id": "!r:h", "origin_server_ts": 1, "depth": 1,
            "prev_events": [], "auth_events": [], "event_id": "$e:h", "hashes": {"sha256": ""}, "signatures": {},
        });
        let _ = Pdu::from_foreign(&event.to_string(), version);
        let pdu = Pdu::from_stored(owned_event_id!("$e:h"), event.to_string(), version).unwrap();
        let room = Room::new(version);
        prop_assert!(room.check(&State::new(), &pdu).is_err() || kind == "m.room.create");
        let _ = auth::auth_types_for(version, kind, user_id!("@u:h"), Some("@u:h"), pdu.content());
        let _ = verify::signing_servers(&pdu);
        let redacted = redact::redact_content(kind, pdu.content(), version);
        prop_assert_eq!(&redact::redact_content(kind, &redacted, version), &redacted);
        let create = Arc::new(Create {
            version,
            event_id: owned_event_id!("$c"),
            sender: owned_user_id!("@u:h"),
            creator: Some(owned_user_id!("@u:h")),
            additional_creators: Vec::new(),
            federate: true,
        });
        let levels = PowerLevels::new(create, Some(&levels.to_string()));
        prop_assert!(levels.user(user_id!("@u:h")) >= i64::MIN);
        prop_assert!(levels.may_send(user_id!("@u:h"), "x", true) || levels.event("x", true) > levels.user(user_id!("@u:h")));
    }
}
