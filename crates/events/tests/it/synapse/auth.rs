//! Verdicts of the auth rules, on state, on citations, on create events, and on who must have signed.

use myelin_events::{
    RoomVersion,
    auth::{self, AuthError, LookupState},
    verify,
};
use serde::Deserialize;

use super::{Differences, Short, ShortRoom, lines};

#[derive(Deserialize)]
struct Case {
    version: RoomVersion,
    state: Vec<Short>,
    events: Vec<Attempt>,
}

/// An event, what Synapse said of it, and for member events which state it looked at (`None` where it died of looking).
#[derive(Deserialize)]
struct Attempt(Short, String, #[serde(default)] Option<Vec<(String, String)>>);

impl Attempt {
    /// Anything but a yes is a no: Synapse takes no event that it dies of.
    fn is_allowed(&self) -> bool {
        self.1 == "allow"
    }
}

/// Whether the specification explains a verdict in which we differ.
fn is_explained(room: &ShortRoom, short: &Short, ours: bool) -> bool {
    // "If the `content` of the `m.room.create` event in the room state has the property `m.federate` set to `false`, and the `sender`
    // domain of the event does not match": Synapse asks it of the target, too.
    let is_closed = room.events[0].content().contains("\"m.federate\":false");
    ours && is_closed && short.event_type == "m.room.member"
}

#[test]
fn states_allow_what_they_allow_in_synapse() {
    let mut differences = Differences::default();
    for case in lines::<Case>("auth_state") {
        let room = ShortRoom::new(case.version, &case.state);
        let state = LookupState::new(case.version, |kind: &str, key: &str| room.find(kind, key));
        for attempt in &case.events {
            let event = room.read(&attempt.0);
            let verdict = event.as_ref().map(|event| {
                let verdict = auth::check(case.version, event, &state);
                let types = auth_types(event);
                (verdict.is_ok(), verdict.err(), types)
            });
            let ours =
                verdict.as_ref().is_ok_and(|(allowed, _, types)| *allowed && types.is_some());
            let explained = is_explained(&room, &attempt.0, ours);
            differences.compare(ours, attempt.is_allowed(), explained, || {
                let state: Vec<_> = room.events.iter().map(|event| event.content()).collect();
                let Attempt(short, verdict, _) = attempt;
                format!(
                    "{}: {short:?}: {verdict}, we {:?}\n    in {state:?}",
                    case.version, verdict
                )
            });
            if let (Ok((_, _, Some(ours))), Some(theirs)) = (&verdict, &attempt.2) {
                differences.compare(ours, &without_create(case.version, theirs), false, || {
                    format!("{}: auth types of {:?}", case.version, attempt.0)
                });
            }
        }
    }
    differences.finish(7_500);
}

type Types = Vec<(String, String)>;

fn auth_types(event: &myelin_events::Pdu) -> Option<Types> {
    let types = auth::auth_types_for(
        event.version,
        &event.event_type,
        &event.sender,
        event.state_key.as_deref(),
        event.content(),
    );
    let mut types: Types =
        types.ok()?.into_iter().map(|(kind, key)| (kind.to_owned(), key)).collect();
    types.sort();
    Some(types)
}

/// The pairs without the create event, which is not cited since version 12.
fn without_create(version: RoomVersion, types: &Types) -> Types {
    let is_cited = |kind: &str| !version.has_hashed_room_ids() || kind != "m.room.create";
    types.iter().filter(|(kind, _)| is_cited(kind)).cloned().collect()
}

#[test]
fn citations_are_allowed_as_in_synapse() {
    let mut differences = Differences::default();
    for case in lines::<Case>("auth_citations") {
        let room = ShortRoom::new(case.version, &case.state);
        for attempt in &case.events {
            let Ok(event) = room.read(&attempt.0) else {
                differences
                    .compare(false, attempt.is_allowed(), false, || format!("{:?}", attempt.0));
                continue;
            };
            let ours = auth::check_auth_events(case.version, &event, |id| room.find_by_id(id));
            // "The membership is unknown. Reject": Synapse says so with the rules about state, we before.
            let explained = matches!(ours, Err(AuthError::MalformedMember(_)));
            differences.compare(ours.is_ok(), attempt.is_allowed(), explained, || {
                format!("{}: {:?}: {}, we {ours:?}", case.version, attempt.0, attempt.1)
            });
        }
    }
    differences.finish(800);
}

#[derive(Deserialize)]
struct CreateCase {
    version: RoomVersion,
    event: Short,
    verdict: String,
}

#[test]
fn create_events_are_allowed_as_in_synapse() {
    let mut differences = Differences::default();
    for case in lines::<CreateCase>("auth_create") {
        let room = ShortRoom { version: case.version, events: Vec::new() };
        let nothing =
            LookupState::new(case.version, |_: &str, _: &str| room.events.first().cloned());
        let event = room.read(&case.event);
        let ours = event.map(|event| auth::check(case.version, &event, &nothing));
        let is_allowed = matches!(ours, Ok(Ok(())));
        differences.compare(is_allowed, case.verdict == "allow", false, || {
            format!("{}: {:?}, we {ours:?}", case.version, case.event)
        });
    }
    differences.finish(480);
}

#[derive(Deserialize)]
struct SignersCase {
    version: RoomVersion,
    event: Short,
    /// `None`: the event is refused, whoever signed it.
    needed: Option<Vec<String>>,
}

#[test]
fn the_same_servers_must_have_signed() {
    let mut differences = Differences::default();
    for case in lines::<SignersCase>("signers") {
        let create = format!(
            r#"{{"type":"m.room.create","state_key":"","sender":"@alice:one","content":{{"room_version":"{}"}}}}"#,
            case.version
        );
        let root: Vec<Short> = case
            .version
            .has_hashed_room_ids()
            .then(|| serde_json::from_str(&create).unwrap())
            .into_iter()
            .collect();
        let room = ShortRoom::new(case.version, &root);
        let (Ok(event), Some(mut theirs)) = (room.read(&case.event), case.needed) else { continue };
        let mut ours: Vec<String> =
            verify::signing_servers(&event).iter().map(ToString::to_string).collect();
        ours.sort();
        theirs.sort();
        differences.compare(ours, theirs, false, || format!("{}: {:?}", case.version, case.event));
    }
    differences.finish(400);
}
