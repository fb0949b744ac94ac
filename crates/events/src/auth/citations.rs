//! The rules about `auth_events` themselves, which hold whatever the state.

use ruma::EventId;

use super::{AuthError, AuthEvent, auth_types_for};
use crate::{
    pdu::{Pdu, create_id_of_room},
    version::RoomVersion,
};

/// Check what an event cites: known events of the same room, none rejected, each entitling this event, no pair of type and state key twice,
/// and the create event where the version wants it. To be called once, on receipt; `find` gives stored events.
pub fn check_auth_events<E: AuthEvent>(
    version: RoomVersion,
    event: &Pdu,
    find: impl Fn(&EventId) -> Option<E>,
) -> Result<(), AuthError> {
    if &*event.event_type == "m.room.create" {
        return match event.auth_events.first() {
            Some(event_id) => Err(AuthError::BadAuthEvent {
                event_id: event_id.clone(),
                reason: "a create event cites none",
            }),
            None => Ok(()),
        };
    }
    let expected = auth_types_for(
        version,
        &event.event_type,
        &event.sender,
        event.state_key.as_deref(),
        event.content(),
    )?;
    let mut seen: Vec<&(&str, String)> = Vec::with_capacity(event.auth_events.len());
    for event_id in &event.auth_events {
        let bad = |reason| AuthError::BadAuthEvent { event_id: event_id.clone(), reason };
        let cited = find(event_id).ok_or_else(|| AuthError::MissingAuthEvent(event_id.clone()))?;
        if *cited.room_id() != *event.room_id {
            return Err(bad("it is of another room"));
        }
        let state_key = cited.state_key().ok_or_else(|| bad("it is no state"))?;
        let pair =
            expected.iter().find(|(kind, key)| *kind == cited.event_type() && key == state_key);
        let pair = pair.ok_or_else(|| bad("it does not entitle this event"))?;
        if seen.contains(&pair) {
            return Err(bad("its type and state key are cited twice"));
        }
        if cited.is_rejected() {
            return Err(bad("it was rejected"));
        }
        seen.push(pair);
    }
    match create_id_of_room(version, &event.room_id) {
        Some(create) => match find(&create) {
            Some(create) if create.event_type() != "m.room.create" => Err(AuthError::NoCreate),
            Some(create) if create.is_rejected() => Err(AuthError::BadAuthEvent {
                event_id: create.event_id().to_owned(),
                reason: "it was rejected",
            }),
            Some(_) => Ok(()),
            None => Err(AuthError::MissingAuthEvent(create)),
        },
        None if seen.iter().any(|(kind, _)| *kind == "m.room.create") => Ok(()),
        None => Err(AuthError::NoCreate),
    }
}
