//! The create event: its rules, and what the other rules need of it.

use ruma::{OwnedEventId, OwnedUserId, UserId};
use serde::Deserialize;

use super::{AuthError, AuthEvent};
use crate::{canonical::Members, version::RoomVersion};

/// What the rules need of a create event, parsed once a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Create {
    /// The version that the rules were read by.
    pub version: RoomVersion,
    /// The create event.
    pub event_id: OwnedEventId,
    /// Who sent it.
    pub sender: OwnedUserId,
    /// Who made the room: `creator` of the content up to version 10, then the sender.
    pub creator: OwnedUserId,
    /// Who else counts as a creator (since version 12).
    pub additional_creators: Vec<OwnedUserId>,
    /// Whether users of other servers may take part.
    pub federate: bool,
}

impl Create {
    /// Read a create event.
    pub fn parse(version: RoomVersion, event: &impl AuthEvent) -> Result<Self, AuthError> {
        #[derive(Deserialize)]
        struct Content {
            creator: Option<OwnedUserId>,
            #[serde(rename = "m.federate")]
            federate: Option<bool>,
        }
        #[derive(Deserialize)]
        struct Federate {
            #[serde(rename = "m.federate")]
            federate: Option<bool>,
        }
        let rules = version.auth_rules();
        let malformed = |error: serde_json::Error| AuthError::Malformed(error.to_string());
        let (creator, federate) = if rules.use_room_create_sender {
            // `creator` means nothing here, whatever it is.
            let content: Federate = serde_json::from_str(event.content()).map_err(malformed)?;
            (event.sender().to_owned(), content.federate)
        } else {
            let content: Content = serde_json::from_str(event.content()).map_err(malformed)?;
            (
                content.creator.ok_or_else(|| {
                    AuthError::Malformed("the create event has no creator".to_owned())
                })?,
                content.federate,
            )
        };
        let additional_creators = if rules.additional_room_creators {
            read_additional(event.content()).map_err(AuthError::Malformed)?
        } else {
            Vec::new()
        };
        Ok(Self {
            version,
            event_id: event.event_id().to_owned(),
            sender: event.sender().to_owned(),
            creator,
            additional_creators,
            federate: federate.unwrap_or(true),
        })
    }

    /// Whether the user is a creator with power above all levels (since version 12).
    pub fn is_privileged(&self, user_id: &UserId) -> bool {
        self.version.auth_rules().explicitly_privilege_room_creators && self.is_creator(user_id)
    }

    pub(crate) fn is_creator(&self, user_id: &UserId) -> bool {
        self.creator == *user_id
            || self.additional_creators.iter().any(|creator| creator == user_id)
    }

    /// All creators.
    pub fn creators(&self) -> impl Iterator<Item = &UserId> {
        std::iter::once(&*self.creator)
            .chain(self.additional_creators.iter().map(|creator| &**creator))
    }
}

fn read_additional(content: &str) -> Result<Vec<OwnedUserId>, String> {
    let members: Members<'_> = serde_json::from_str(content).map_err(|error| error.to_string())?;
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
