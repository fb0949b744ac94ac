//! Content hashes, reference hashes and redacted contents, in every room version.

use myelin_events::{Pdu, RoomVersion, canonical::to_canonical, pdu, redact, verify};
use serde::Deserialize;

use super::{Differences, lines};

#[derive(Deserialize)]
struct Case {
    /// The members of the event, but for those that have another form in other versions.
    event: String,
    answers: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    versions: Vec<RoomVersion>,
    answer: Option<Answer>,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Answer {
    /// The content that a redaction leaves.
    kept: String,
    reference: String,
    content: String,
}

fn answer(members: &str, version: RoomVersion) -> Option<Answer> {
    let text = if version.has_chosen_event_ids() {
        let references = r#"[["$p:h",{"sha256":"x"}]]"#;
        format!(
            r#"{{{members},"prev_events":{references},"auth_events":{references},"event_id":"$e:h"}}"#
        )
    } else {
        format!(r#"{{{members},"prev_events":["$p"],"auth_events":["$p"]}}"#)
    };
    let json = to_canonical(&text, version.is_json_strict()).ok()?;
    let pdu = Pdu::parse(json, version).ok()?;
    let redacted = redact::redact_event(pdu.json(), version).ok()?;
    Some(Answer {
        kept: pdu::content_of(&redacted)?.to_owned(),
        reference: pdu.reference_hash().ok()?,
        content: verify::content_hash(pdu.json()).ok()?,
    })
}

#[test]
fn events_hash_and_redact_as_in_synapse() {
    let mut differences = Differences::default();
    for case in lines::<Case>("hashes") {
        for group in &case.answers {
            for version in &group.versions {
                let ours = answer(&case.event, *version);
                let explained = match (&ours, &group.answer) {
                    (None, Some(_)) => {
                        version.is_json_strict() && has_what_is_not_canonical(&case.event)
                    }
                    (Some(_), None) => is_create_with_a_room(&case.event, *version),
                    _ => false,
                };
                differences.compare(ours.as_ref(), group.answer.as_ref(), explained, || {
                    format!("version {version}: {}", case.event)
                });
            }
        }
    }
    differences.finish(18_000);
}

/// "Numbers in the JSON must be integers in the range \[…\], represented without exponents or decimal places, and negative zero `-0` MUST
/// NOT appear." Synapse reads `-0` as 0, and of a repeated key only the last value, before it looks.
fn has_what_is_not_canonical(text: &str) -> bool {
    to_canonical(&format!("{{{text}}}"), true).is_err()
}

/// Version 12 has no `room_id` in create events. [`Pdu::from_foreign`] refuses them as Synapse does, [`Pdu::parse`] reads what passed.
fn is_create_with_a_room(text: &str, version: RoomVersion) -> bool {
    version.has_hashed_room_ids() && text.contains(r#""type":"m.room.create""#)
}
