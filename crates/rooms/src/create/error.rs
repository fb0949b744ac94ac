//! The reason why no room was made.

use crate::{EventError, alias::add::AddAliasError};

/// The reason why no room was made.
#[derive(Debug, thiserror::Error)]
pub enum CreateRoomError {
    /// The body is no JSON object, or a member has the wrong type.
    #[error("{0}")]
    BadJson(String),
    /// The room version is not one that this server knows.
    #[error("Your homeserver does not support this room version")]
    UnsupportedVersion,
    /// An invited user's ID is none.
    #[error("Invalid user_id: {0}")]
    BadUserId(String),
    /// An invited user is of another server, which cannot be reached.
    #[error("Failed to reach the server of {0}")]
    RemoteUser(ruma::OwnedUserId),
    /// Only admins of the server may invite.
    #[error("Invites have been disabled on this server")]
    InvitesDisabled,
    /// An invited user takes no invites.
    #[error("You are not permitted to invite this user.")]
    InviteBlocked,
    /// More users are invited than one request may.
    #[error("Cannot invite so many users at once")]
    TooManyInvites,
    /// A user is invited by e-mail or telephone, and there is no identity server to ask.
    #[error("Inviting by third-party ID needs an identity server, which this server does not use")]
    ThirdPartyInvite,
    /// `power_level_content_override` leaves out who makes the room.
    #[error("Not a valid power_level_content_override: 'users' did not contain {0}")]
    OverrideWithoutCreator(ruma::OwnedUserId),
    /// The server lets nobody encrypt rooms of this preset.
    #[error("You cannot create an encrypted room. user_level ({have}) < send_level ({need})")]
    EncryptionForbidden {
        /// The level that who makes the room has.
        have: i64,
        /// The level that is needed.
        need: i64,
    },
    /// The alias name has a server in it.
    #[error(
        "':' is not permitted in the room alias name. Please note this expects a local part \u{2014} 'wombat', not '#wombat:example.com'."
    )]
    AliasWithServer,
    #[error("Room alias already taken")]
    AliasTaken,
    /// The alias may not be made.
    #[error(transparent)]
    Alias(#[from] AddAliasError),
    /// An event of the new room was refused.
    #[error(transparent)]
    Event(#[from] EventError),
}
