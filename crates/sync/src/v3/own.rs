//! The user's own way through a room.

use myelin_model::Membership;

/// How the user's membership in a room went since a position.
#[derive(Debug, Clone, Default)]
pub(super) struct OwnHistory {
    /// What it was at that position.
    pub(super) at_start: Option<Membership>,
    /// What it became, oldest first.
    pub(super) changes: Vec<Membership>,
}

impl OwnHistory {
    /// The user joined after the position and is in the room now: anew, or again.
    pub(super) fn is_newly_joined(&self) -> bool {
        self.changes.last().is_some_and(|change| *change == Membership::Join)
            && !self.was_joined_throughout()
    }

    /// The user was in the room at the position and never left it.
    pub(super) fn was_joined_throughout(&self) -> bool {
        self.at_start == Some(Membership::Join)
            && self.changes.iter().all(|change| *change == Membership::Join)
    }

    /// The user was in the room at some time since the position.
    pub(super) fn was_ever_joined(&self) -> bool {
        self.at_start == Some(Membership::Join) || self.changes.contains(&Membership::Join)
    }

    /// The user was in the room at the position.
    pub(super) fn was_joined_at_start(&self) -> bool {
        self.at_start == Some(Membership::Join)
    }
}
