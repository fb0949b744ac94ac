//! Visibility: the users and servers that may see an event (client-server API, "Room history visibility"), and ignored
//! users.

pub use myelin_model::HistoryVisibility;
use myelin_model::Membership;
use ruma::{ServerName, UserId};

/// One user and one event. For events that are neither history visibility nor the user's own membership, the states before and after say
/// the same; then give the one at hand twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Viewpoint {
    /// The visibility in the state before the event.
    pub visibility_before: HistoryVisibility,
    /// The visibility in the state after the event.
    pub visibility_after: HistoryVisibility,
    /// The user's membership before the event.
    pub membership_before: Option<Membership>,
    /// The user's membership after the event.
    pub membership_after: Option<Membership>,
    /// The user is in the room now, or was at some time after the event.
    pub joined_since: bool,
}

impl Viewpoint {
    /// The viewpoint on an event that changes neither the visibility nor the user's membership.
    pub fn at(
        visibility: HistoryVisibility,
        membership: Option<Membership>,
        joined_since: bool,
    ) -> Self {
        Self {
            visibility_before: visibility,
            visibility_after: visibility,
            membership_before: membership,
            membership_after: membership,
            joined_since,
        }
    }
}

/// Whether the user may see the event. Rejected and soft-failed events are for [`myelin_model::Event::is_visible`].
pub fn may_see(view: &Viewpoint) -> bool {
    let visibilities = [view.visibility_before, view.visibility_after];
    let memberships = [view.membership_before, view.membership_after];
    visibilities.iter().any(|visibility| {
        memberships.iter().any(|membership| allows(*visibility, *membership, view.joined_since))
    })
}

fn allows(
    visibility: HistoryVisibility,
    membership: Option<Membership>,
    joined_since: bool,
) -> bool {
    match visibility {
        _ if membership == Some(Membership::Join) => true,
        HistoryVisibility::WorldReadable => true,
        HistoryVisibility::Shared => joined_since,
        HistoryVisibility::Invited => membership == Some(Membership::Invite),
        HistoryVisibility::Joined => false,
    }
}

/// Whether the event is kept from a user who ignores its sender. State stays visible: without it the room could not be understood.
pub fn is_ignored(is_state: bool, sender: &UserId, ignored: impl Fn(&UserId) -> bool) -> bool {
    !is_state && ignored(sender)
}

/// Whether a server that takes part in the room may see the event. `members` are the members at the event, of which those of the server
/// count.
pub fn server_may_see<'a>(
    visibility: HistoryVisibility,
    server: &ServerName,
    members: impl IntoIterator<Item = (&'a UserId, Membership)>,
) -> bool {
    let needs_invite = match visibility {
        HistoryVisibility::WorldReadable | HistoryVisibility::Shared => return true,
        HistoryVisibility::Invited => true,
        HistoryVisibility::Joined => false,
    };
    members.into_iter().any(|(user_id, membership)| {
        user_id.server_name() == server
            && (membership == Membership::Join || needs_invite && membership == Membership::Invite)
    })
}

#[cfg(test)]
mod tests {
    use ruma::{server_name, user_id};

    use super::*;
    use HistoryVisibility::{Invited, Joined, Shared, WorldReadable};
    use Membership::{Ban, Invite, Join, Leave};

    #[test]
    fn events_between_changes() {
        for (visibility, membership, joined_since, expect) in [
            (WorldReadable, None, false, true),
            (WorldReadable, Some(Ban), false, true),
            (Shared, None, false, false),
            (Shared, None, true, true),
            (Shared, Some(Leave), true, true),
            (Shared, Some(Join), false, true),
            (Shared, Some(Invite), false, false),
            (Invited, Some(Invite), true, true),
            (Invited, Some(Invite), false, true),
            (Invited, None, true, false),
            (Invited, Some(Join), true, true),
            (Joined, Some(Invite), true, false),
            (Joined, None, true, false),
            (Joined, Some(Join), false, true),
        ] {
            let view = Viewpoint::at(visibility, membership, joined_since);
            assert_eq!(may_see(&view), expect, "{view:?}");
        }
    }

    #[test]
    fn changes_are_seen_from_either_side() {
        let base = Viewpoint::at(Joined, None, false);
        for (view, expect) in [
            (
                Viewpoint { membership_before: Some(Join), membership_after: Some(Leave), ..base },
                true,
            ),
            (
                Viewpoint { membership_before: Some(Join), membership_after: Some(Ban), ..base },
                true,
            ),
            (Viewpoint { membership_before: None, membership_after: Some(Join), ..base }, true),
            (
                Viewpoint {
                    membership_before: Some(Invite),
                    membership_after: Some(Leave),
                    ..base
                },
                false,
            ),
            (Viewpoint { visibility_before: WorldReadable, ..base }, true),
            (Viewpoint { visibility_after: WorldReadable, ..base }, true),
            (Viewpoint { visibility_before: Shared, joined_since: true, ..base }, true),
        ] {
            assert_eq!(may_see(&view), expect, "{view:?}");
        }
    }

    #[test]
    fn servers_see_what_one_of_their_users_may() {
        let members = [
            (user_id!("@a:one"), Join),
            (user_id!("@b:two"), Invite),
            (user_id!("@c:three"), Leave),
        ];
        for (visibility, server, expect) in [
            (Joined, server_name!("one"), true),
            (Joined, server_name!("two"), false),
            (Invited, server_name!("two"), true),
            (Invited, server_name!("three"), false),
            (Shared, server_name!("three"), true),
        ] {
            assert_eq!(
                server_may_see(visibility, server, members),
                expect,
                "{visibility:?} {server}"
            );
        }
    }

    #[test]
    fn ignored_users_keep_their_state_events() {
        let ignored = |user_id: &UserId| user_id == user_id!("@bad:h");
        assert!(is_ignored(false, user_id!("@bad:h"), ignored));
        assert!(!is_ignored(true, user_id!("@bad:h"), ignored));
        assert!(!is_ignored(false, user_id!("@good:h"), ignored));
    }
}
