//! Events as clients see them (client-server API, "Room event format").
//!
//! What is the same for every reader is made once and kept in the event; what differs (`unsigned`, `room_id`) is spliced in by text.

use std::borrow::Cow;

use myelin_model::{Event, Membership};
use ruma::{EventId, UserId};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    canonical::{Key, Members, write_members, write_string},
    pdu::content_of,
    redact,
    version::RoomVersion,
};

/// The event as clients see it, without `room_id` and `unsigned`: redacted where it was redacted. Made at first use.
///
/// It is an object with at least `content`; see [`write_event`] for the whole.
pub fn client_json(event: &Event, version: RoomVersion) -> &str {
    event.client_json.get_or_init(|| render(event, version).into())
}

/// The format of events, which depends on the place where they stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Events by themselves, which say by `room_id` which room they are of.
    Room,
    /// Events in `/sync`, where the room is known: without `room_id`.
    Sync,
    /// Events in the form in which servers exchange them (`event_format: federation` of filters).
    Federation,
}

/// The contents of `unsigned` for one reader. Nothing is written for what is `None`; without any there is no
/// `unsigned`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unsigned<'a> {
    /// The milliseconds since the event was sent.
    pub age: Option<u64>,
    /// The transaction ID, for the device that sent it only.
    pub transaction_id: Option<&'a str>,
    /// The content of the state event that it replaced, as JSON.
    pub prev_content: Option<&'a str>,
    /// The user who sent the state event that it replaced.
    pub prev_sender: Option<&'a UserId>,
    /// The state event that it replaced.
    pub replaces_state: Option<&'a EventId>,
    /// The redaction that emptied it, as a whole client event in JSON.
    pub redacted_because: Option<&'a str>,
    /// The reader's membership at the event.
    pub membership: Option<Membership>,
    /// The aggregated relations (`m.relations`), as JSON.
    pub relations: Option<&'a str>,
    /// Stripped state of an invite or knock (`invite_room_state`, `knock_room_state`), or other members: key and JSON.
    pub other: &'a [(&'a str, &'a str)],
}

/// Append the whole event to `out`.
pub fn write_event(
    out: &mut String,
    event: &Event,
    version: RoomVersion,
    format: Format,
    unsigned: &Unsigned<'_>,
) {
    let json = match format {
        Format::Federation => federation_json(event, version),
        Format::Room | Format::Sync => client_json(event, version).into(),
    };
    out.reserve(json.len() + 256);
    out.push_str(json.strip_suffix('}').unwrap_or(&json));
    if format == Format::Federation && !version.has_chosen_event_ids() {
        // Servers compute it; clients need it.
        out.push_str(",\"event_id\":");
        write_string(out, event.event_id.as_str());
    }
    if format == Format::Room {
        out.push_str(",\"room_id\":");
        write_string(out, event.room_id.as_str());
    }
    unsigned.write(out);
    out.push('}');
}

/// The event as servers exchange it: redacted where it was redacted.
fn federation_json(event: &Event, version: RoomVersion) -> Cow<'_, str> {
    match event.redacted_by {
        Some(_) => {
            redact::redact_event(&event.json, version).unwrap_or_else(|_| "{}".to_owned()).into()
        }
        None => Cow::Borrowed(&event.json),
    }
}

/// The whole event as a text of its own.
pub fn event_json(
    event: &Event,
    version: RoomVersion,
    format: Format,
    unsigned: &Unsigned<'_>,
) -> String {
    let mut out = String::new();
    write_event(&mut out, event, version, format, unsigned);
    out
}

/// Append the event as stripped state: content, sender, state key and type only.
pub fn write_stripped(out: &mut String, event: &Event, version: RoomVersion) {
    let content = content_for_clients(event, version);
    out.push_str("{\"content\":");
    out.push_str(&content);
    out.push_str(",\"sender\":");
    write_string(out, event.sender.as_str());
    out.push_str(",\"state_key\":");
    write_string(out, event.state_key.as_deref().unwrap_or_default());
    out.push_str(",\"type\":");
    write_string(out, &event.event_type);
    out.push('}');
}

/// The content that clients may see: redacted where the event was redacted.
pub fn content_for_clients(event: &Event, version: RoomVersion) -> Cow<'_, str> {
    let content = content_of(&event.json).unwrap_or("{}");
    match event.redacted_by {
        Some(_) => redact::redact_content(&event.event_type, content, version),
        None => content.into(),
    }
}

impl Unsigned<'_> {
    /// Append `,"unsigned":{...}` if there is anything in it.
    fn write(&self, out: &mut String) {
        let start = out.len();
        out.push_str(",\"unsigned\":{");
        let empty = out.len();
        let mut member = |key: &str, write: &dyn Fn(&mut String)| {
            if out.len() > empty {
                out.push(',');
            }
            write_string(out, key);
            out.push(':');
            write(out);
        };
        if let Some(age) = self.age {
            member("age", &|out| out.push_str(&age.to_string()));
        }
        if let Some(relations) = self.relations {
            member("m.relations", &|out| out.push_str(relations));
        }
        if let Some(membership) = self.membership {
            member("membership", &|out| write_string(out, membership.as_str()));
        }
        if let Some(content) = self.prev_content {
            member("prev_content", &|out| out.push_str(content));
        }
        if let Some(sender) = self.prev_sender {
            member("prev_sender", &|out| write_string(out, sender.as_str()));
        }
        if let Some(redaction) = self.redacted_because {
            member("redacted_because", &|out| out.push_str(redaction));
        }
        if let Some(event_id) = self.replaces_state {
            member("replaces_state", &|out| write_string(out, event_id.as_str()));
        }
        if let Some(transaction_id) = self.transaction_id {
            member("transaction_id", &|out| write_string(out, transaction_id));
        }
        for (key, value) in self.other {
            member(key, &|out| out.push_str(value));
        }
        if out.len() == empty {
            out.truncate(start);
        } else {
            out.push('}');
        }
    }
}

#[derive(Deserialize)]
struct Stored<'a> {
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    redacts: Option<&'a RawValue>,
}

fn render(event: &Event, version: RoomVersion) -> String {
    let stored = serde_json::from_str::<Stored<'_>>(&event.json)
        .unwrap_or(Stored { content: None, redacts: None });
    let content = stored.content.map_or("{}", RawValue::get);
    let content = match event.redacted_by {
        Some(_) => redact::redact_content(&event.event_type, content, version),
        None => content.into(),
    };
    let mut redacts = None;
    let mut with_redacts = None;
    if &*event.event_type == "m.room.redaction" {
        if version.redacts_in_content() {
            redacts = member_of(&content, "redacts");
        } else if event.redacted_by.is_none()
            && let Some(id) = stored.redacts
        {
            redacts = Some(id);
            with_redacts = Some(add_member(&content, "redacts", id));
        }
    }
    let mut out = String::with_capacity(content.len() + 320);
    out.push_str("{\"content\":");
    out.push_str(with_redacts.as_deref().unwrap_or(&content));
    out.push_str(",\"event_id\":");
    write_string(&mut out, event.event_id.as_str());
    out.push_str(",\"origin_server_ts\":");
    out.push_str(&event.origin_server_ts.to_string());
    if let Some(redacts) = redacts {
        out.push_str(",\"redacts\":");
        out.push_str(redacts.get());
    }
    out.push_str(",\"sender\":");
    write_string(&mut out, event.sender.as_str());
    if let Some(state_key) = &event.state_key {
        out.push_str(",\"state_key\":");
        write_string(&mut out, state_key);
    }
    out.push_str(",\"type\":");
    write_string(&mut out, &event.event_type);
    out.push('}');
    out
}

fn member_of<'a>(object: &'a str, key: &str) -> Option<&'a RawValue> {
    serde_json::from_str::<Members<'a>>(object).ok()?.remove(key)
}

fn add_member(object: &str, key: &str, value: &RawValue) -> String {
    let mut members: Members<'_> = serde_json::from_str(object).unwrap_or_default();
    members.insert(Key(key.into()), value);
    let mut out = String::with_capacity(object.len() + value.get().len() + key.len() + 4);
    write_members(&mut out, members.iter().map(|(key, value)| (&*key.0, value.get())));
    out
}

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;

    use myelin_model::{EventFlags, EventNid, RoomNid};
    use ruma::{event_id, owned_event_id, owned_room_id, owned_user_id, user_id};

    use super::*;

    fn event(event_type: &str, state_key: Option<&str>, json: &str) -> Event {
        Event {
            nid: EventNid(1),
            room_nid: RoomNid(1),
            room_id: owned_room_id!("!r:h"),
            pos: None,
            event_id: owned_event_id!("$e"),
            event_type: event_type.into(),
            state_key: state_key.map(Into::into),
            state_key_nid: None,
            sender: owned_user_id!("@u:h"),
            origin_server_ts: 7,
            depth: 1,
            membership: None,
            state_before: None,
            state_after: None,
            replaces: None,
            redacts: None,
            redacted_by: None,
            flags: EventFlags::NONE,
            notify_ordinal: 0,
            transaction: None,
            json: json.into(),
            client_json: OnceLock::new(),
        }
    }

    fn check(
        event: &Event,
        version: RoomVersion,
        format: Format,
        unsigned: &Unsigned<'_>,
        expect: &str,
    ) {
        let json = event_json(event, version, format, unsigned);
        assert_eq!(json, expect);
        serde_json::from_str::<serde_json::Value>(&json).unwrap();
    }

    #[test]
    fn what_differs_between_readers_is_spliced() {
        let event =
            event("m.room.message", None, r#"{"content":{"body":"a}"},"type":"m.room.message"}"#);
        let start = r#"{"content":{"body":"a}"},"event_id":"$e","origin_server_ts":7,"sender":"@u:h","type":"m.room.message""#;
        check(&event, RoomVersion::V11, Format::Sync, &Unsigned::default(), &format!("{start}}}"));
        check(
            &event,
            RoomVersion::V11,
            Format::Room,
            &Unsigned::default(),
            &format!(r#"{start},"room_id":"!r:h"}}"#),
        );
        let unsigned = Unsigned {
            age: Some(5),
            transaction_id: Some("t\"1"),
            membership: Some(Membership::Join),
            ..Unsigned::default()
        };
        check(
            &event,
            RoomVersion::V11,
            Format::Sync,
            &unsigned,
            &format!(
                r#"{start},"unsigned":{{"age":5,"membership":"join","transaction_id":"t\"1"}}}}"#
            ),
        );
        check(
            &event,
            RoomVersion::V11,
            Format::Federation,
            &Unsigned { age: Some(5), ..Unsigned::default() },
            r#"{"content":{"body":"a}"},"type":"m.room.message","event_id":"$e","unsigned":{"age":5}}"#,
        );
    }

    #[test]
    fn all_of_unsigned_is_written() {
        let event = event("t", Some(""), r#"{"content":{}}"#);
        let unsigned = Unsigned {
            age: Some(1),
            transaction_id: Some("t"),
            prev_content: Some(r#"{"a":1}"#),
            prev_sender: Some(user_id!("@p:h")),
            replaces_state: Some(event_id!("$p")),
            redacted_because: Some("{}"),
            membership: Some(Membership::Ban),
            relations: Some("[]"),
            other: &[("invite_room_state", "[1]")],
        };
        check(
            &event,
            RoomVersion::V11,
            Format::Sync,
            &unsigned,
            concat!(
                r#"{"content":{},"event_id":"$e","origin_server_ts":7,"sender":"@u:h","state_key":"","type":"t","#,
                r#""unsigned":{"age":1,"m.relations":[],"membership":"ban","prev_content":{"a":1},"prev_sender":"@p:h","#,
                r#""redacted_because":{},"replaces_state":"$p","transaction_id":"t","invite_room_state":[1]}}"#
            ),
        );
    }

    #[test]
    fn redacts_stands_in_both_places() {
        let old = r#"{"content":{"reason":"x"},"redacts":"$r"}"#;
        let new = r#"{"content":{"reason":"x","redacts":"$r"}}"#;
        for (version, json) in [(RoomVersion::V10, old), (RoomVersion::V11, new)] {
            check(
                &event("m.room.redaction", None, json),
                version,
                Format::Sync,
                &Unsigned::default(),
                concat!(
                    r#"{"content":{"reason":"x","redacts":"$r"},"event_id":"$e","origin_server_ts":7,"redacts":"$r","#,
                    r#""sender":"@u:h","type":"m.room.redaction"}"#
                ),
            );
        }
    }

    #[test]
    fn the_redacted_are_seen_redacted() {
        let json = r#"{"content":{"displayname":"x","membership":"join"}}"#;
        let redacted =
            Event { redacted_by: Some(EventNid(2)), ..event("m.room.member", Some("@u:h"), json) };
        check(
            &redacted,
            RoomVersion::V11,
            Format::Sync,
            &Unsigned { redacted_because: Some(r#"{"r":1}"#), ..Unsigned::default() },
            concat!(
                r#"{"content":{"membership":"join"},"event_id":"$e","origin_server_ts":7,"sender":"@u:h","state_key":"@u:h","#,
                r#""type":"m.room.member","unsigned":{"redacted_because":{"r":1}}}"#
            ),
        );
        let mut stripped = String::new();
        write_stripped(&mut stripped, &redacted, RoomVersion::V11);
        assert_eq!(
            stripped,
            r#"{"content":{"membership":"join"},"sender":"@u:h","state_key":"@u:h","type":"m.room.member"}"#
        );
    }
}
