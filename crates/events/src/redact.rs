//! Redaction: what is left of an event when its content is taken away (client-server API, "Redactions", and each room version).
//!
//! The redacted form is also what is signed, and what event IDs are hashes of.

use std::{borrow::Cow, sync::OnceLock};

use myelin_model::Event;
use ruma::room_version_rules::RedactionRules;

use crate::{
    canonical::{Members, write_members},
    version::RoomVersion,
};

/// The redacted form of an event: canonical, without `unsigned`, with its signatures.
///
/// The event must be canonical JSON; one without a `type` or a `content` object keeps nothing of its content.
pub fn redact_event(json: &str, version: RoomVersion) -> Result<String, serde_json::Error> {
    let members: Members<'_> = serde_json::from_str(json)?;
    Ok(write_redacted(&members, version, true))
}

/// The event without what a redaction would take away, though none redacted it: for those whom its sender, who was erased since,
/// did not send it to.
pub fn prune(event: &Event, version: RoomVersion) -> Event {
    Event {
        transaction: None,
        json: redact_event(&event.json, version).unwrap_or_else(|_| "{}".to_owned()).into(),
        client_json: OnceLock::new(),
        ..event.clone()
    }
}

/// The text that is signed and hashed into the event ID: the redacted form without signatures.
pub(crate) fn signable(members: &Members<'_>, version: RoomVersion) -> String {
    write_redacted(members, version, false)
}

fn write_redacted(members: &Members<'_>, version: RoomVersion, with_signatures: bool) -> String {
    let rules = version.redaction_rules();
    let event_type: Cow<'_, str> = members
        .get("type")
        .and_then(|value| serde_json::from_str(value.get()).ok())
        .map_or(Cow::Borrowed(""), Cow::Owned::<str>);
    let content =
        members.get("content").map(|content| redact_content(&event_type, content.get(), version));
    let kept = members.iter().filter_map(|(key, value)| match &*key.0 {
        "content" => Some(("content", content.as_deref()?)),
        "signatures" if !with_signatures => None,
        key if is_event_key_kept(key, rules) => Some((key, value.get())),
        _ => None,
    });
    let mut out = String::with_capacity(512);
    write_members(&mut out, kept);
    out
}

fn is_event_key_kept(key: &str, rules: &RedactionRules) -> bool {
    match key {
        "event_id" | "type" | "room_id" | "sender" | "state_key" | "hashes" | "signatures"
        | "depth" | "prev_events" | "auth_events" | "origin_server_ts" => true,
        "origin" | "membership" | "prev_state" => rules.keep_origin_membership_prev_state,
        _ => false,
    }
}

/// The redacted form of a content, which must be canonical JSON.
pub fn redact_content<'a>(
    event_type: &str,
    content: &'a str,
    version: RoomVersion,
) -> Cow<'a, str> {
    let rules = version.redaction_rules();
    let keeps: fn(&str, &RedactionRules) -> bool = match event_type {
        "m.room.create" if rules.keep_room_create_content => return Cow::Borrowed(content),
        "m.room.create" => |key, _| key == "creator",
        "m.room.member" => |key, rules| match key {
            "membership" => true,
            "join_authorised_via_users_server" => {
                rules.keep_room_member_join_authorised_via_users_server
            }
            "third_party_invite" => rules.keep_room_member_third_party_invite_signed,
            _ => false,
        },
        "m.room.join_rules" => {
            |key, rules| key == "join_rule" || key == "allow" && rules.keep_room_join_rules_allow
        }
        "m.room.power_levels" => |key, rules| match key {
            "ban" | "events" | "events_default" | "kick" | "redact" | "state_default" | "users"
            | "users_default" => true,
            "invite" => rules.keep_room_power_levels_invite,
            _ => false,
        },
        "m.room.history_visibility" => |key, _| key == "history_visibility",
        "m.room.redaction" if rules.keep_room_redaction_redacts => |key, _| key == "redacts",
        "m.room.aliases" if rules.keep_room_aliases_aliases => |key, _| key == "aliases",
        _ => return Cow::Borrowed("{}"),
    };
    let Ok(members) = serde_json::from_str::<Members<'_>>(content) else {
        return Cow::Borrowed("{}");
    };
    let invite = members.get("third_party_invite").and_then(|invite| keep_signed(invite.get()));
    let kept = members.iter().filter(|(key, _)| keeps(&key.0, rules)).filter_map(|(key, value)| {
        match (event_type, &*key.0) {
            ("m.room.member", "third_party_invite") => {
                Some(("third_party_invite", invite.as_deref()?))
            }
            (_, key) => Some((key, value.get())),
        }
    });
    let mut out = String::with_capacity(content.len());
    write_members(&mut out, kept);
    Cow::Owned(out)
}

/// A `third_party_invite` of which only `signed` is kept. `None` if it is no object.
fn keep_signed(invite: &str) -> Option<String> {
    let members: Members<'_> = serde_json::from_str(invite).ok()?;
    let mut out = String::new();
    write_members(&mut out, members.get("signed").map(|signed| ("signed", signed.get())));
    Some(out)
}
