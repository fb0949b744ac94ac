//! Making events: content hash, signature, event ID.
//!
//! The hot path of sending. The canonical JSON is written directly, three times: as it is hashed, as it is signed, as it is kept.

use std::{collections::BTreeMap, ops::Range};

use base64::Engine as _;
use myelin_model::limits::EVENT_SIZE_BYTES_MAX;
use ruma::{EventId, OwnedEventId, RoomId, ServerName, UserId};
use sha2::{Digest as _, Sha256};

use crate::{
    canonical::{self, CanonicalError, Key, Members, write_string},
    key::{BASE64, SigningKey},
    number,
    pdu::{Pdu, PduError, event_id_of_hash, room_id_of_create},
    redact,
    version::RoomVersion,
};

/// The parts of an event before it is hashed and signed.
#[derive(Clone, Copy)]
pub struct NewEvent<'a> {
    /// The room. `None` for the create event of version 12, whose hash will be the room ID.
    pub room_id: Option<&'a RoomId>,
    /// The user of this server who sends it.
    pub sender: &'a UserId,
    pub event_type: &'a str,
    /// The state key, for state events.
    pub state_key: Option<&'a str>,
    /// The content: a JSON object in any spelling.
    pub content: &'a str,
    /// The event that this `m.room.redaction` redacts. Written where the room version keeps it.
    pub redacts: Option<&'a EventId>,
    /// The forward extremities it is built upon.
    pub prev_events: &'a [OwnedEventId],
    /// The state events of [`crate::auth::auth_types_for`].
    pub auth_events: &'a [OwnedEventId],
    /// The reference hashes, for versions 1 and 2 only: those of `prev_events` and `auth_events`
    /// ([`Pdu::reference_hash`]). References to events that are not in it go out without a hash, which servers accept.
    pub reference_hashes: Option<&'a BTreeMap<OwnedEventId, String>>,
    /// One more than the greatest depth of `prev_events`. Cut off at what canonical JSON can say.
    pub depth: i64,
    /// The time, in milliseconds since the Unix epoch.
    pub origin_server_ts: u64,
}

/// The reason why an event cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The content is not an object of canonical JSON: a float or a number too large, for example.
    #[error("the content is not allowed: {0}")]
    Content(#[from] CanonicalError),
    /// The content is JSON but not an object.
    #[error("the content is not an object")]
    ContentNotObject,
    /// The event would be larger than an event may be.
    #[error("the event would have {size} bytes, more than {EVENT_SIZE_BYTES_MAX}")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
    },
    /// A field is too long or not allowed.
    #[error(transparent)]
    Field(#[from] PduError),
}

impl NewEvent<'_> {
    /// Hash, sign and name the event. `server_name` is this server, whose key signs.
    pub fn build(
        &self,
        version: RoomVersion,
        server_name: &ServerName,
        key: &SigningKey,
    ) -> Result<Pdu, BuildError> {
        // A remote event may have the greatest depth there is; ours upon it must still be canonical JSON.
        let new = &NewEvent { depth: self.depth.clamp(0, canonical::INTEGER_MAX), ..*self };
        let is_integer = |number| i64::try_from(number).is_ok_and(|n| n <= canonical::INTEGER_MAX);
        if !is_integer(self.origin_server_ts) {
            let (field, reason) = ("origin_server_ts", "beyond the integers of JSON");
            return Err(PduError::BadField { field, reason }.into());
        }
        let content = self.canonical_content(version)?;
        let chosen_id = version.has_chosen_event_ids().then(|| EventId::new_v1(server_name));
        let envelope = Envelope { new, version, event_id: chosen_id.as_deref() };

        let mut buffer = String::with_capacity(content.len() + 1024);
        envelope.write(&mut buffer, &content, None, None, true);
        let hash = BASE64.encode(Sha256::digest(&buffer));

        let redacted = redact::redact_content(self.event_type, &content, version);
        buffer.clear();
        envelope.write(&mut buffer, &redacted, Some(&hash), None, false);
        let signature = key.sign(buffer.as_bytes());
        let event_id = match chosen_id {
            Some(ref event_id) => event_id.clone(),
            None => event_id_of_hash(&Sha256::digest(&buffer), version)?,
        };

        buffer.clear();
        let content_span = envelope.write(
            &mut buffer,
            &content,
            Some(&hash),
            Some((server_name.as_str(), key.key_id(), &signature)),
            true,
        );
        if buffer.len() > EVENT_SIZE_BYTES_MAX {
            return Err(BuildError::TooLarge { size: buffer.len() });
        }
        let room_id = match self.room_id {
            Some(room_id) => room_id.to_owned(),
            None if version.has_hashed_room_ids() && self.event_type == "m.room.create" => {
                room_id_of_create(&event_id)?
            }
            None => return Err(PduError::BadField { field: "room_id", reason: "missing" }.into()),
        };
        let pdu = Pdu::from_parts(version, event_id, room_id, new, buffer, content_span);
        pdu.check_fields()?;
        Ok(pdu)
    }

    fn canonical_content(&self, version: RoomVersion) -> Result<String, BuildError> {
        let content = canonical::to_canonical(self.content, version.is_json_strict())?;
        if !version.is_json_strict() && number::has_large_integer(&content) {
            return Err(CanonicalError::LargeInteger.into());
        }
        if !content.starts_with('{') {
            return Err(BuildError::ContentNotObject);
        }
        let Some(redacts) = self.redacts.filter(|_| version.redacts_in_content()) else {
            return Ok(content);
        };
        let redacts = serde_json::value::to_raw_value(redacts).map_err(CanonicalError::from)?;
        let mut members: Members<'_> =
            serde_json::from_str(&content).map_err(CanonicalError::from)?;
        members.insert(Key("redacts".into()), &redacts);
        let mut with_redacts = String::with_capacity(content.len() + 80);
        canonical::write_members(
            &mut with_redacts,
            members.iter().map(|(key, value)| (&*key.0, value.get())),
        );
        Ok(with_redacts)
    }
}

/// Writes the event in canonical order.
struct Envelope<'e> {
    new: &'e NewEvent<'e>,
    version: RoomVersion,
    event_id: Option<&'e EventId>,
}

impl Envelope<'_> {
    /// Returns where the content stands. `whole` is false for the redacted form, which has no `redacts`.
    fn write(
        &self,
        out: &mut String,
        content: &str,
        hash: Option<&str>,
        signature: Option<(&str, &str, &str)>,
        whole: bool,
    ) -> Range<usize> {
        let new = self.new;
        out.push_str("{\"auth_events\":");
        self.write_references(out, new.auth_events);
        out.push_str(",\"content\":");
        let start = out.len();
        out.push_str(content);
        let span = start..out.len();
        out.push_str(",\"depth\":");
        out.push_str(&new.depth.to_string());
        if let Some(event_id) = self.event_id {
            write_text(out, "event_id", event_id.as_str());
        }
        if let Some(hash) = hash {
            out.push_str(",\"hashes\":{\"sha256\":\"");
            out.push_str(hash);
            out.push_str("\"}");
        }
        out.push_str(",\"origin_server_ts\":");
        out.push_str(&new.origin_server_ts.to_string());
        out.push_str(",\"prev_events\":");
        self.write_references(out, new.prev_events);
        if let Some(redacts) = new.redacts.filter(|_| whole && !self.version.redacts_in_content()) {
            write_text(out, "redacts", redacts.as_str());
        }
        if let Some(room_id) = new.room_id {
            write_text(out, "room_id", room_id.as_str());
        }
        write_text(out, "sender", new.sender.as_str());
        if let Some((server, key_id, signature)) = signature {
            out.push_str(",\"signatures\":{");
            write_string(out, server);
            out.push_str(":{");
            write_string(out, key_id);
            out.push_str(":\"");
            out.push_str(signature);
            out.push_str("\"}}");
        }
        if let Some(state_key) = new.state_key {
            write_text(out, "state_key", state_key);
        }
        write_text(out, "type", new.event_type);
        out.push('}');
        span
    }

    fn write_references(&self, out: &mut String, ids: &[OwnedEventId]) {
        out.push('[');
        for (index, id) in ids.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            if self.version.has_chosen_event_ids() {
                out.push('[');
                write_string(out, id.as_str());
                match self.new.reference_hashes.and_then(|hashes| hashes.get(id)) {
                    Some(hash) => {
                        out.push_str(",{\"sha256\":");
                        write_string(out, hash);
                        out.push_str("}]");
                    }
                    None => out.push_str(",{}]"),
                }
            } else {
                write_string(out, id.as_str());
            }
        }
        out.push(']');
    }
}

fn write_text(out: &mut String, key: &str, value: &str) {
    out.push_str(",\"");
    out.push_str(key);
    out.push_str("\":");
    write_string(out, value);
}

#[cfg(test)]
mod tests {
    use ruma::{event_id, room_id, server_name, signatures, user_id};

    use super::*;
    use crate::canonical::to_canonical;

    fn key() -> SigningKey {
        SigningKey::from_seed(&[7; 32], "a_test")
    }

    fn message<'a>(content: &'a str, refs: &'a [OwnedEventId]) -> NewEvent<'a> {
        NewEvent {
            room_id: Some(room_id!("!r:h")),
            sender: user_id!("@u:h"),
            event_type: "m.room.message",
            state_key: None,
            content,
            redacts: None,
            prev_events: refs,
            auth_events: refs,
            reference_hashes: None,
            depth: 5,
            origin_server_ts: 1_700_000_000_000,
        }
    }

    /// ruma, working on a tree, must agree on hash, signature, event ID and the canonical form.
    fn check(new: &NewEvent<'_>, version: RoomVersion) {
        let pdu = new.build(version, server_name!("h"), &key()).unwrap();
        assert_eq!(to_canonical(pdu.json(), version.is_json_strict()).unwrap(), pdu.json());
        let object: ruma::CanonicalJsonObject = serde_json::from_str(pdu.json()).unwrap();
        let public_key =
            ruma::serde::Base64::new(BASE64.decode(key().public_key().to_base64()).unwrap());
        let keys = BTreeMap::from([(
            "h".to_owned(),
            BTreeMap::from([("ed25519:a_test".to_owned(), public_key)]),
        )]);
        let verdict = signatures::verify_event(&keys, &object, version.rules()).unwrap();
        assert_eq!(verdict, signatures::Verified::All, "{version}");
        if !version.has_chosen_event_ids() {
            assert_eq!(
                pdu.event_id.as_str(),
                format!("${}", signatures::reference_hash(&object, version.rules()).unwrap())
            );
        }
        assert_eq!(pdu.reference_hash().unwrap().replace('+', "-").replace('/', "_"), {
            signatures::reference_hash(&object, version.rules())
                .unwrap()
                .replace('+', "-")
                .replace('/', "_")
        });
        let read = Pdu::parse(pdu.json(), version).unwrap();
        assert_eq!(format!("{read:?}"), format!("{pdu:?}"));
        assert_eq!(
            format!("{:?}", Pdu::from_foreign(pdu.json(), version).unwrap()),
            format!("{pdu:?}")
        );
    }

    #[test]
    fn built_events_are_what_ruma_takes_them_for() {
        let refs = [event_id!("$a:h").to_owned(), event_id!("$bV8tJ3Rv-_b:h").to_owned()];
        for version in RoomVersion::ALL {
            let room_id = if version.has_hashed_room_ids() {
                room_id!("!1KDA5dyvK2cpsQnWy7aUGYJXxqf_AuyJNnvJTSB3pS0")
            } else {
                room_id!("!r:h")
            };
            let new = |event_type, state_key, content| NewEvent {
                room_id: Some(room_id),
                event_type,
                state_key,
                ..message(content, &refs)
            };
            check(
                &new(
                    "m.room.message",
                    None,
                    r#"{"msgtype":"m.text","body":"\u00e9\n\"x\" 😀","a":{"c":[1,{"z":1,"b":2}]}}"#,
                ),
                version,
            );
            check(
                &new("m.room.member", Some("@u:h"), r#"{"membership":"join","displayname":"U"}"#),
                version,
            );
            check(
                &new(
                    "m.room.power_levels",
                    Some(""),
                    r#"{"users":{"@u:h":100},"invite":5,"notifications":{"room":1}}"#,
                ),
                version,
            );
            check(&new("we\"ird\\", Some("\u{1}"), "{}"), version);
            check(
                &NewEvent {
                    redacts: Some(event_id!("$a:h")),
                    ..new("m.room.redaction", None, r#"{"reason":"x"}"#)
                },
                version,
            );
            let create = new("m.room.create", Some(""), r#"{"creator":"@u:h","extra":1}"#);
            let hashed = version.has_hashed_room_ids();
            check(
                &NewEvent {
                    room_id: create.room_id.filter(|_| !hashed),
                    prev_events: &[],
                    auth_events: &[],
                    ..create
                },
                version,
            );
        }
    }

    #[test]
    fn the_room_of_version_12_is_its_create_event() {
        let create = NewEvent {
            room_id: None,
            event_type: "m.room.create",
            state_key: Some(""),
            ..message(r#"{"room_version":"12"}"#, &[])
        };
        let pdu = create.build(RoomVersion::V12, server_name!("h"), &key()).unwrap();
        assert_eq!(pdu.room_id.as_str().strip_prefix('!'), pdu.event_id.as_str().strip_prefix('$'));
        assert!(!pdu.json().contains("room_id"));
        assert!(matches!(
            create.build(RoomVersion::V11, server_name!("h"), &key()),
            Err(BuildError::Field(_))
        ));
    }

    #[test]
    fn redacts_stands_where_the_version_keeps_it() {
        for (version, expect) in [
            (RoomVersion::V10, r#""content":{"reason":"x"},"#),
            (RoomVersion::V11, r#""content":{"reason":"x","redacts":"$a"},"#),
        ] {
            let new = NewEvent {
                event_type: "m.room.redaction",
                redacts: Some(event_id!("$a")),
                ..message(r#"{"reason":"x"}"#, &[])
            };
            let pdu = new.build(version, server_name!("h"), &key()).unwrap();
            assert!(pdu.json().contains(expect), "{}", pdu.json());
            assert_eq!(pdu.json().contains(r#","redacts":"$a","#), version == RoomVersion::V10);
            assert_eq!(pdu.redacts.as_deref(), Some(event_id!("$a")));
        }
    }

    #[test]
    fn references_of_old_rooms_carry_hashes() {
        let hashes = BTreeMap::from([(event_id!("$a:h").to_owned(), "abc".to_owned())]);
        let refs = [event_id!("$a:h").to_owned(), event_id!("$b:h").to_owned()];
        let new = NewEvent { reference_hashes: Some(&hashes), ..message("{}", &refs) };
        let pdu = new.build(RoomVersion::V2, server_name!("h"), &key()).unwrap();
        assert!(pdu.json().contains(r#""prev_events":[["$a:h",{"sha256":"abc"}],["$b:h",{}]]"#));
        assert_eq!(pdu.event_id.server_name(), Some(server_name!("h")));
    }

    #[test]
    fn depth_ends_where_integers_do() {
        let pdu = NewEvent { depth: i64::MAX, ..message("{}", &[]) }
            .build(RoomVersion::V11, server_name!("h"), &key())
            .unwrap();
        assert_eq!(pdu.depth, canonical::INTEGER_MAX);
        assert!(Pdu::from_foreign(pdu.json(), RoomVersion::V11).is_ok());
    }

    #[test]
    fn what_cannot_be_an_event_is_refused() {
        let build = |new: &NewEvent<'_>| new.build(RoomVersion::V11, server_name!("h"), &key());
        for content in [r#"{"a":1.5}"#, r#"{"a":9007199254740992}"#, "{", ""] {
            assert!(
                matches!(build(&message(content, &[])), Err(BuildError::Content(_))),
                "{content}"
            );
        }
        assert!(matches!(build(&message("[]", &[])), Err(BuildError::ContentNotObject)));
        for (content, is_good) in [
            (r#"{"a":9223372036854775807,"b":"99999999999999999999","c":1e30}"#, true),
            (r#"{"a":9223372036854775808}"#, false),
            (r#"{"a":[-9223372036854775809]}"#, false),
        ] {
            let old = message(content, &[]).build(RoomVersion::V1, server_name!("h"), &key());
            assert_eq!(!matches!(old, Err(BuildError::Content(_))), is_good, "{content}");
        }
        let large = |bytes: usize| format!(r#"{{"a":"{}"}}"#, "x".repeat(bytes));
        assert!(build(&message(&large(65_000), &[])).is_ok());
        assert!(matches!(build(&message(&large(65_536), &[])), Err(BuildError::TooLarge { .. })));
        let long = "x".repeat(256);
        let longs = [
            NewEvent { event_type: &long, ..message("{}", &[]) },
            NewEvent { state_key: Some(&long), ..message("{}", &[]) },
        ];
        for new in &longs {
            assert!(matches!(build(new), Err(BuildError::Field(PduError::FieldTooLong { .. }))));
        }
        let late = |ts: i64| NewEvent { origin_server_ts: ts.unsigned_abs(), ..message("{}", &[]) };
        assert!(build(&late(canonical::INTEGER_MAX)).is_ok());
        assert!(matches!(build(&late(canonical::INTEGER_MAX + 1)), Err(BuildError::Field(_))));
        assert!(matches!(build(&late(i64::MIN)), Err(BuildError::Field(_))));
        let many: Vec<_> = (0..21).map(|n| EventId::parse(format!("${n}")).unwrap()).collect();
        assert!(build(&NewEvent { auth_events: &[], ..message("{}", &many) }).is_err());
        assert!(build(&NewEvent { auth_events: &[], ..message("{}", &many[..20]) }).is_ok());
    }
}
