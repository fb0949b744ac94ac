//! The create event: its rules, and what the other rules need of it.

use ruma::{OwnedEventId, OwnedUserId, UserId};

use super::{AuthError, AuthEvent};
use crate::{canonical::Members, version::RoomVersion};

/// The part of a create event that the rules need, parsed once a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Create {
    /// The version that the rules were read by.
    pub version: RoomVersion,
    pub event_id: OwnedEventId,
    /// The user who sent it.
    pub sender: OwnedUserId,
    /// The user who made the room: `creator` of the content up to version 10, then the sender. `None` where the content
    /// names no user ID.
    pub creator: Option<OwnedUserId>,
    /// The other users who count as creators (since version 12).
    pub additional_creators: Vec<OwnedUserId>,
    /// Whether users of other servers may take part.
    pub federate: bool,
}

impl Create {
    /// Read a create event.
    pub fn parse(version: RoomVersion, event: &impl AuthEvent) -> Result<Self, AuthError> {
        let rules = version.auth_rules();
        let malformed = |error: serde_json::Error| AuthError::Malformed(error.to_string());
        let members: Members<'_> = serde_json::from_str(event.content()).map_err(malformed)?;
        let creator = if rules.use_room_create_sender {
            // `creator` means nothing here, whatever it is.
            Some(event.sender().to_owned())
        } else {
            let creator = members.get("creator").ok_or_else(|| {
                AuthError::Malformed("the create event has no creator".to_owned())
            })?;
            serde_json::from_str(creator.get()).ok()
        };
        // What is neither true nor false lets nobody in: a room that is not surely open is closed.
        let federate = members.get("m.federate").is_none_or(|federate| federate.get() == "true");
        let additional_creators = if rules.additional_room_creators {
            read_additional(&members).map_err(AuthError::Malformed)?
        } else {
            Vec::new()
        };
        Ok(Self {
            version,
            event_id: event.event_id().to_owned(),
            sender: event.sender().to_owned(),
            creator,
            additional_creators,
            federate,
        })
    }

    /// Whether the user is a creator with power above all levels (since version 12).
    pub fn is_privileged(&self, user_id: &UserId) -> bool {
        self.version.auth_rules().explicitly_privilege_room_creators && self.is_creator(user_id)
    }

    pub(crate) fn is_creator(&self, user_id: &UserId) -> bool {
        self.creator.as_deref() == Some(user_id)
            || self.additional_creators.iter().any(|creator| creator == user_id)
    }

    /// All creators.
    pub fn creators(&self) -> impl Iterator<Item = &UserId> {
        self.creator
            .as_deref()
            .into_iter()
            .chain(self.additional_creators.iter().map(|creator| &**creator))
    }
}

fn read_additional(members: &Members<'_>) -> Result<Vec<OwnedUserId>, String> {
    match members.get("additional_creators") {
        Some(creators) => serde_json::from_str(creators.get())
            .map_err(|error| format!("additional_creators: {error}")),
        None => Ok(Vec::new()),
    }
}

/// The version that a create event's content names; 1 if it names none, `None` if it is not one we know.
pub fn version_of(content: &str) -> Option<RoomVersion> {
    let members: Members<'_> = serde_json::from_str(content).ok()?;
    match members.get("room_version") {
        Some(version) => serde_json::from_str(version.get()).ok(),
        None => Some(RoomVersion::V1),
    }
}

/// The rules for the create event itself.
pub(super) fn check(version: RoomVersion, event: &impl AuthEvent) -> Result<(), AuthError> {
    if event.has_prev_events() {
        return Err(AuthError::CreateNotFirst);
    }
    let room_id = event.room_id();
    if version.has_hashed_room_ids() {
        // That the event has no `room_id` is a matter of form; then the room ID is derived.
        if room_id.strip_sigil() != event.event_id().as_str().trim_start_matches('$') {
            return Err(AuthError::CreateRoomId);
        }
    } else if room_id.server_name() != Some(event.sender().server_name()) {
        return Err(AuthError::CreateRoomId);
    }
    if version_of(event.content()) != Some(version) {
        return Err(AuthError::CreateRoomVersion);
    }
    Create::parse(version, event).map(|_| ())
}
