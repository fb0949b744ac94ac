//! The events that notify under the default push rules, whoever reads them.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Content<'a> {
    #[serde(borrow, default)]
    msgtype: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "m.relates_to", default)]
    relates_to: Option<Relation<'a>>,
}

#[derive(Deserialize)]
struct Relation<'a> {
    #[serde(borrow, default)]
    rel_type: Option<Cow<'a, str>>,
}

/// Whether an event counts as unread for who has the default rules: messages and encrypted events, calls, but neither edits nor
/// notices (client-server API, "Predefined Rules"). Rules about the reader, as for mentions and invites, are not looked at here. Such an event has a greater
/// [`notify_ordinal`](myelin_model::Event::notify_ordinal) than the one before it.
pub fn notifies(event_type: &str, is_state: bool, content: &str) -> bool {
    if is_state {
        return event_type == "im.vector.modular.widgets" && begins_jitsi(content);
    }
    if !matches!(event_type, "m.room.message" | "m.room.encrypted" | "m.call.invite") {
        return false;
    }
    match serde_json::from_str::<Content<'_>>(content) {
        Ok(content) => {
            let rel_type = content.relates_to.and_then(|relation| relation.rel_type);
            is_loud(event_type, content.msgtype.as_deref(), rel_type.as_deref())
        }
        // Members of the wrong type match no rule, by themselves: the others count.
        Err(_) => {
            let content: Value = serde_json::from_str(content).unwrap_or_default();
            let rel_type =
                content.get("m.relates_to").and_then(|relation| relation.get("rel_type"));
            let msgtype = content.get("msgtype").and_then(Value::as_str);
            is_loud(event_type, msgtype, rel_type.and_then(Value::as_str))
        }
    }
}

/// Whether a widget is a call by Jitsi.
fn begins_jitsi(content: &str) -> bool {
    let content: Value = serde_json::from_str(content).unwrap_or_default();
    content.get("type").and_then(Value::as_str) == Some("jitsi")
}

fn is_loud(event_type: &str, msgtype: Option<&str>, rel_type: Option<&str>) -> bool {
    let is_notice = event_type == "m.room.message" && msgtype == Some("m.notice");
    rel_type != Some("m.replace") && !is_notice
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_notify_and_edits_do_not() {
        for (event_type, is_state, content, expect) in [
            ("m.room.message", false, r#"{"msgtype":"m.text","body":"x"}"#, true),
            ("m.room.message", false, r#"{"msgtype":"m.notice"}"#, false),
            ("m.room.message", false, r#"{"m.relates_to":{"rel_type":"m.replace"}}"#, false),
            ("m.room.message", false, r#"{"m.relates_to":{"rel_type":"m.thread"}}"#, true),
            ("m.room.message", false, r#"{"m.relates_to":5}"#, true),
            ("m.room.message", false, r#"{"msgtype":"m.notice","m.relates_to":5}"#, false),
            (
                "m.room.message",
                false,
                r#"{"msgtype":5,"m.relates_to":{"rel_type":"m.replace"}}"#,
                false,
            ),
            (
                "m.room.message",
                false,
                r#"{"msgtype":"m.notice","m.relates_to":{"rel_type":[]}}"#,
                false,
            ),
            ("m.room.message", true, "{}", false),
            ("m.room.encrypted", false, "{}", true),
            ("m.reaction", false, "{}", false),
            ("m.room.member", true, "{}", false),
            ("im.vector.modular.widgets", true, r#"{"type":"jitsi"}"#, true),
            ("im.vector.modular.widgets", true, r#"{"type":"clock"}"#, false),
            ("im.vector.modular.widgets", false, r#"{"type":"jitsi"}"#, false),
        ] {
            assert_eq!(notifies(event_type, is_state, content), expect, "{event_type} {content}");
        }
    }
}
