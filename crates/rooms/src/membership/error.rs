//! The reason why a membership was not changed.

use myelin_events::auth::AuthError;
use myelin_model::{Membership, Suspended};
use myelin_storage::StorageError;
use ruma::OwnedUserId;

use crate::EventError;

/// The reason why a membership was not changed.
#[derive(Debug, thiserror::Error)]
pub enum MembershipError {
    /// This server is not in the room, and knows of no server that is.
    #[error("Can't join remote room because no servers that are in the room have been provided.")]
    NoServers,
    /// Somebody is to be out of a room that this server does not know.
    #[error("Not a known room")]
    NotKnownRoom,
    /// The target is no member to be kicked.
    #[error("The target user is not in the room")]
    TargetNotInRoom,
    /// The target is not banned.
    #[error("Cannot unban user who was not banned (membership={})", membership.map_or("None", Membership::as_str))]
    NotBanned {
        /// The membership that it has. `None` if it never had one.
        membership: Option<Membership>,
    },
    /// The target is banned, so nothing else can be done to it.
    #[error("Cannot {action} user who was banned")]
    Banned {
        /// The verb of the action that was asked for.
        action: &'static str,
    },
    /// The room does not let guests in.
    #[error("Guest access not allowed")]
    GuestsForbidden,
    /// The join rule asks for membership in other rooms.
    #[error("You do not belong to any of the required rooms/spaces to join this room.")]
    NotInAllowedRooms,
    /// The join rule would let the user in, but nobody on this server has the power to.
    #[error("No local user has the power to let the user into the room")]
    NoAuthoriser,
    /// Users of other servers cannot be reached.
    #[error("Failed to reach the server of {0}")]
    RemoteUser(OwnedUserId),
    /// Only admins of the server may invite.
    #[error("Invites have been disabled on this server")]
    InvitesDisabled,
    /// The target takes no invites.
    #[error("You are not permitted to invite this user.")]
    InviteBlocked,
    /// The `displayname` is too long.
    #[error("Displayname is too long")]
    DisplayNameTooLong,
    #[error("Avatar URL is too long")]
    AvatarUrlTooLong,
    /// The account is suspended: all that is left to it is to leave.
    #[error(transparent)]
    Suspended(#[from] Suspended),
    /// The event was refused.
    #[error(transparent)]
    Event(#[from] EventError),
}

impl MembershipError {
    /// Whether nothing was decided: the same may be done later.
    pub(crate) fn is_failure(&self) -> bool {
        matches!(self, Self::Event(error) if error.is_failure())
    }
}

impl From<StorageError> for MembershipError {
    fn from(error: StorageError) -> Self {
        Self::Event(error.into())
    }
}

impl From<AuthError> for MembershipError {
    fn from(error: AuthError) -> Self {
        Self::Event(error.into())
    }
}
