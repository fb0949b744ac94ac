//! The reason why an event is not allowed.

/// The reason why the auth rules refuse an event. The text may be shown to clients.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// The state has no create event.
    #[error("the room has no create event")]
    NoCreate,
    /// The create event has events before it.
    #[error("a create event cannot have previous events")]
    CreateNotFirst,
    /// The create event's room is not of its sender's server, or is given although the version derives it.
    #[error("the room ID does not fit the create event")]
    CreateRoomId,
    /// The create event names a room version that is not known, or not the room's.
    #[error("the room version of the create event is not supported")]
    CreateRoomVersion,
    /// A field of the content is missing or of the wrong type.
    #[error("malformed content: {0}")]
    Malformed(String),
    /// The room is not open to other servers.
    #[error("the room does not federate with the sender's server")]
    NotFederated,
    /// The aliases are not those of the sender's server (versions 1 to 5).
    #[error("aliases can be set for the sender's own server only")]
    AliasesOfOtherServer,
    /// The sender is not in the room.
    #[error("the sender is not in the room")]
    SenderNotJoined,
    /// The sender's power level is too low.
    #[error("the sender does not have the power to {action}")]
    NotEnoughPower {
        /// The action that needs more power.
        action: String,
    },
    /// The state key is another user's ID.
    #[error("the state key is another user's ID")]
    StateKeyOfOtherUser,
    /// A creator stands in `users` of the power levels (since version 12).
    #[error("creators have no entry in the power levels")]
    CreatorInPowerLevels,
    /// A member event whose state key is missing or no user ID, or with an unknown membership.
    #[error("malformed member event: {0}")]
    MalformedMember(&'static str),
    /// A user joins or knocks for someone else.
    #[error("a user cannot {0} for another user")]
    NotOneself(&'static str),
    #[error("the user is banned from the room")]
    Banned,
    /// The join rules do not let the user in.
    #[error("the user is not invited to the room, or does not meet what it asks for")]
    JoinRules,
    /// The user who is named as authorising a restricted join cannot.
    #[error("the user who authorises the join is not in the room or cannot invite")]
    JoinAuthoriser,
    /// The room cannot be knocked on.
    #[error("the room's join rules do not allow to knock")]
    KnockRules,
    /// The user is already there.
    #[error("the user is already {0}")]
    Already(&'static str),
    /// The user leaves without having been in, invited or knocking.
    #[error("the user is not in the room, invited or knocking")]
    NotThere,
    /// The third-party invite does not hold.
    #[error("the third-party invite does not hold: {0}")]
    ThirdPartyInvite(&'static str),
    /// Something is wrong with the events cited in `auth_events`.
    #[error("bad auth event {event_id}: {reason}")]
    BadAuthEvent {
        /// The cited event.
        event_id: ruma::OwnedEventId,
        /// The fault of the citation.
        reason: &'static str,
    },
    /// A cited event is not known.
    #[error("auth event {0} is not known")]
    MissingAuthEvent(ruma::OwnedEventId),
}
