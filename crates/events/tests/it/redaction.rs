//! Redaction by version, against ruma's, for contents that have all the fields which any version keeps.

use myelin_events::{RoomVersion, canonical::to_canonical, redact};
use serde_json::json;

#[test]
fn every_version_keeps_what_ruma_keeps() {
    let content = json!({
        "membership": "join", "displayname": "x", "join_authorised_via_users_server": "@a:h", "reason": "x",
        "third_party_invite": {"display_name": "x", "signed": {"mxid": "@a:h", "token": "t"}},
        "creator": "@a:h", "room_version": "1", "m.federate": false, "additional_creators": [],
        "join_rule": "public", "allow": [{"type": "x"}], "ban": 1, "events": {"a": 1}, "events_default": 1, "kick": 1, "redact": 1,
        "state_default": 1, "users": {}, "users_default": 1, "invite": 1, "notifications": {"room": 1}, "history_visibility": "shared",
        "aliases": [], "redacts": "$r", "body": "x", "deny": [], "allow_ip_literals": true,
    });
    for version in RoomVersion::ALL {
        for event_type in [
            "m.room.member",
            "m.room.create",
            "m.room.join_rules",
            "m.room.power_levels",
            "m.room.history_visibility",
            "m.room.aliases",
            "m.room.redaction",
            "m.room.server_acl",
            "m.room.message",
            "m.room.topic",
            "",
        ] {
            let event = json!({
                "type": event_type, "content": content, "event_id": "$e", "room_id": "!r", "sender": "@a:h", "state_key": "",
                "hashes": {"sha256": "x"}, "signatures": {"h": {}}, "depth": 1, "prev_events": ["$p"], "auth_events": ["$a"],
                "origin_server_ts": 1, "origin": "h", "membership": "join", "prev_state": [], "redacts": "$r", "unsigned": {"age": 1},
                "prev_content": {}, "other": 1,
            });
            let object: ruma::CanonicalJsonObject = serde_json::from_value(event.clone()).unwrap();
            let theirs =
                ruma::canonical_json::redact(object, version.redaction_rules(), None).unwrap();
            let canonical = to_canonical(&event.to_string(), true).unwrap();
            let ours = redact::redact_event(&canonical, version).unwrap();
            assert_eq!(
                ours,
                serde_json::to_string(&theirs).unwrap(),
                "version {version}, {event_type}"
            );
            assert_eq!(
                redact::redact_event(&ours, version).unwrap(),
                ours,
                "what is redacted stays"
            );
        }
    }
}

#[test]
fn odd_contents_do_not_stop_redaction() {
    for (event_type, content, expect) in [
        ("m.room.member", r#"{"membership":5,"third_party_invite":7}"#, r#"{"membership":5}"#),
        ("m.room.member", r#"{"third_party_invite":[]}"#, "{}"),
        ("m.room.member", r#"{"third_party_invite":null}"#, "{}"),
        ("m.room.member", r#"{"third_party_invite":{"x":1}}"#, r#"{"third_party_invite":{}}"#),
        ("m.room.member", "[]", "{}"),
        ("m.room.join_rules", r#"{"join_rule":{"a":[1]}}"#, r#"{"join_rule":{"a":[1]}}"#),
        ("m.room.create", r#"{"a":1}"#, r#"{"a":1}"#),
    ] {
        assert_eq!(
            redact::redact_content(event_type, content, RoomVersion::V11),
            expect,
            "{event_type} {content}"
        );
    }
}
