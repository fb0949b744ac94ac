//! Events in the form that a client asked for.

use myelin_events::{
    RoomVersion,
    client::{Format, Unsigned, content_for_clients, event_json, write_event},
};
use myelin_model::{Event, Membership};
use serde_json::{Map, Value};

use super::{Pass, load::Loaded, relations};
use crate::filter::EventFormat;

/// Writes the events of one room.
pub(super) struct EventWriter<'a> {
    pub(super) pass: &'a Pass<'a>,
    pub(super) version: RoomVersion,
    pub(super) loaded: &'a Loaded,
}

impl EventWriter<'_> {
    /// Write an event. `membership` is what the user was at it, where that is told.
    pub(super) fn write(&self, event: &Event, membership: Option<Membership>, out: &mut String) {
        let format = match self.pass.filter().event_format {
            EventFormat::Client => Format::Sync,
            EventFormat::Federation => Format::Federation,
        };
        let redaction = event.redacted_by.and_then(|nid| self.loaded.events.get(&nid));
        let redaction = redaction.map(|redaction| {
            event_json(redaction, self.version, Format::Sync, &Unsigned::default())
        });
        let replaced = event.replaces.and_then(|nid| self.loaded.events.get(&nid));
        let before = replaced.map(|event| self.pass.older(event, self.version));
        let prev_content = before.as_ref().map(|event| content_for_clients(event, self.version));
        let relations = relations::to_json(self.pass, event, self.version, self.loaded);
        let unsigned = Unsigned {
            age: Some(self.pass.now_ms.saturating_sub(event.origin_server_ts)),
            transaction_id: self.transaction_id(event),
            prev_content: prev_content.as_deref(),
            prev_sender: replaced.map(|event| &*event.sender),
            replaces_state: replaced.map(|event| &*event.event_id),
            redacted_because: redaction.as_deref(),
            membership,
            relations: relations.as_deref(),
            other: &[],
        };
        let fields = &self.pass.filter().event_fields;
        if fields.is_empty() {
            write_event(out, event, self.version, format, &unsigned);
        } else {
            out.push_str(&only_fields(&event_json(event, self.version, format, &unsigned), fields));
        }
    }

    /// The transaction ID, for the device that sent the event.
    fn transaction_id<'e>(&self, event: &'e Event) -> Option<&'e str> {
        let transaction = event.transaction.as_ref()?;
        let is_sender = event.sender == *self.pass.user_id()
            && self.pass.session.device_id.as_ref() == Some(&transaction.device_id);
        is_sender.then_some(&*transaction.txn_id)
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
