//! Events in the form that a client asked for.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use myelin_engine::Related;
use myelin_events::{
    RoomVersion,
    canonical::write_string,
    client::{Format, Unsigned, content_for_clients, event_json, write_event},
    sight::Sight,
};
use myelin_model::{Event, EventNid, Membership, StreamPos};
use ruma::RoomId;
use serde_json::{Map, Value};

use super::Reader;

/// The form of events that a client asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EventForm<'a> {
    pub(crate) format: Format,
    /// The fields of events that are wanted, as dotted paths. Empty: all.
    pub(crate) fields: &'a [String],
}

/// Writes the events of one room.
pub(crate) struct EventWriter<'a> {
    pub(crate) reader: &'a Reader<'a>,
    pub(crate) form: EventForm<'a>,
    pub(crate) version: RoomVersion,
    /// The events that those written refer to: what they replaced, what redacted them, what relates to them.
    pub(crate) events: &'a HashMap<EventNid, Arc<Event>>,
    /// The events that relate to those written, where they are told.
    pub(crate) related: &'a Related,
    /// The events that the user sees, where what relates to others is told.
    pub(crate) seen: Option<&'a HashSet<EventNid>>,
    /// The user's view of what the events refer to. `None`: the user sees all of it.
    pub(crate) sight: Option<&'a Sight>,
    /// The position after which the user hears nothing, where the user is not in the room any more.
    pub(crate) left_at: Option<StreamPos>,
}

impl EventWriter<'_> {
    /// Write an event. `membership` is what the user was at it, where that is told.
    pub(crate) fn write(&self, event: &Event, membership: Option<Membership>, out: &mut String) {
        let format = self.form.format;
        let redaction = event.redacted_by.and_then(|nid| self.events.get(&nid));
        let redaction = redaction.filter(|redaction| self.tells_of(redaction));
        let redaction = redaction.map(|redaction| {
            event_json(redaction, self.version, format, &self.unsigned(redaction))
        });
        let replaced = event.replaces.and_then(|nid| self.events.get(&nid));
        let seen = replaced.filter(|event| self.sight.is_none_or(|sight| sight.may_see(event)));
        let before = seen.map(|event| self.reader.older(event, self.version));
        let prev_content = before.as_ref().map(|event| content_for_clients(event, self.version));
        let relations = self.relations(event);
        let unsigned = Unsigned {
            prev_content: prev_content.as_deref(),
            prev_sender: seen.map(|event| &*event.sender),
            replaces_state: replaced.map(|event| &*event.event_id),
            redacted_because: redaction.as_deref(),
            membership,
            relations: relations.as_deref(),
            ..self.unsigned(event)
        };
        let fields = self.form.fields;
        if fields.is_empty() {
            write_event(out, event, self.version, format, &unsigned);
        } else {
            out.push_str(&only_fields(&event_json(event, self.version, format, &unsigned), fields));
        }
    }

    /// Whether the user is told of a redaction: who is not in the room hears nothing of what came afterwards.
    fn tells_of(&self, redaction: &Event) -> bool {
        self.left_at.is_none_or(|left_at| {
            redaction.pos.is_some_and(|pos| pos <= left_at)
                && self.sight.is_none_or(|sight| sight.may_see(redaction))
        })
    }

    /// The part of `unsigned` that every event has: its age, and the transaction ID for the device that sent it.
    pub(super) fn unsigned<'e>(&self, event: &'e Event) -> Unsigned<'e> {
        let transaction = event.transaction.as_ref().filter(|transaction| {
            event.sender == *self.reader.user_id
                && self.reader.device_id == Some(&*transaction.device_id)
        });
        Unsigned {
            age: Some(event.age_ms(self.reader.now_ms)),
            transaction_id: transaction.map(|transaction| &*transaction.txn_id),
            ..Unsigned::default()
        }
    }
}

/// Write the member `room_id`, where an event stands by itself.
pub(super) fn write_room_id(room_id: Option<&RoomId>, out: &mut String) {
    if let Some(room_id) = room_id {
        out.push_str(",\"room_id\":");
        write_string(out, room_id.as_str());
    }
}

/// Reduce an event to the fields that are named by dotted paths; `\.` and `\\` stand for the characters.
fn only_fields(json: &str, fields: &[String]) -> String {
    let Ok(Value::Object(event)) = serde_json::from_str::<Value>(json) else {
        return json.to_owned();
    };
    let mut kept = Map::new();
    for field in fields {
        copy(&event, &mut kept, &split(field));
    }
    Value::Object(kept).to_string()
}

fn copy(from: &Map<String, Value>, to: &mut Map<String, Value>, path: &[String]) {
    let Some((first, rest)) = path.split_first() else { return };
    let Some(value) = from.get(first) else { return };
    if rest.is_empty() {
        to.insert(first.clone(), value.clone());
    } else if let Value::Object(from) = value {
        let below = to.entry(first.clone()).or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(to) = below {
            copy(from, to, rest);
        }
    }
}

fn split(field: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut chars = field.chars().peekable();
    while let Some(char) = chars.next() {
        let escaped = char == '\\' && chars.peek().is_some_and(|next| matches!(next, '.' | '\\'));
        if char == '.' {
            parts.push(String::new());
        } else if let Some(part) = parts.last_mut() {
            part.extend(if escaped { chars.next() } else { Some(char) });
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_reduced_to_fields() {
        let json =
            r#"{"content":{"a.b":1,"body":"x","c":{"d":2,"e":3}},"sender":"@u:h","type":"t"}"#;
        for (fields, expect) in [
            (vec!["content.body"], r#"{"content":{"body":"x"}}"#),
            (vec!["content.a\\.b", "type"], r#"{"content":{"a.b":1},"type":"t"}"#),
            (vec!["content.c.d", "content.nope"], r#"{"content":{"c":{"d":2}}}"#),
            (vec!["nope.x"], "{}"),
        ] {
            let fields: Vec<String> = fields.into_iter().map(ToOwned::to_owned).collect();
            assert_eq!(only_fields(json, &fields), expect, "{fields:?}");
        }
    }
}
