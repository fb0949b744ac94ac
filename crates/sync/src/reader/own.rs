//! The user's own way through a room.

use myelin_model::{EventNid, Membership};
use myelin_storage::MembershipRow;

/// The course of the user's membership in a room since a position.
#[derive(Debug, Clone, Default)]
pub(crate) struct OwnHistory {
    /// The membership at that position. `None` if there was none.
    pub(crate) at_start: Option<Membership>,
    /// The later member events of the user, oldest first.
    pub(crate) changes: Vec<MembershipRow>,
}

impl OwnHistory {
    /// A membership that did not change.
    pub(crate) fn unchanged(membership: Membership) -> Self {
        Self { at_start: Some(membership), changes: Vec::new() }
    }

    /// The user joined after the position and is in the room now: anew, or again.
    pub(crate) fn is_newly_joined(&self) -> bool {
        self.changes.last().is_some_and(|change| change.membership == Membership::Join)
            && !self.was_joined_throughout()
    }

    /// The user was in the room at the position and never left it.
    pub(crate) fn was_joined_throughout(&self) -> bool {
        self.at_start == Some(Membership::Join)
            && self.changes.iter().all(|change| change.membership == Membership::Join)
    }

    /// The user was in the room at some time since the position.
    pub(crate) fn was_ever_joined(&self) -> bool {
        self.at_start == Some(Membership::Join)
            || self.changes.iter().any(|change| change.membership == Membership::Join)
    }

    /// The way up to the last time that the user left, or was kept out; `None` if that did not happen.
    pub(crate) fn up_to_leave(&self) -> Option<Self> {
        let is_leave =
            |row: &MembershipRow| matches!(row.membership, Membership::Leave | Membership::Ban);
        let last = self.changes.iter().rposition(is_leave)?;
        let changes = self.changes.iter().take(last + 1).copied().collect();
        Some(Self { at_start: self.at_start, changes })
    }

    /// The member event that ended the user's last being in the room.
    pub(crate) fn departure(&self) -> Option<EventNid> {
        let mut before = self.at_start;
        let mut departure = None;
        for change in &self.changes {
            let was_joined = before.replace(change.membership) == Some(Membership::Join);
            if was_joined && change.membership != Membership::Join {
                departure = Some(change.event_nid);
            }
        }
        departure
    }

    /// The user was in the room at the position.
    pub(crate) fn was_joined_at_start(&self) -> bool {
        self.at_start == Some(Membership::Join)
    }
}
