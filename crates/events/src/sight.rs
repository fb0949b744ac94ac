//! The view that one user has of one room: the one place where every read path asks.

use std::{collections::HashSet, sync::Arc};

use myelin_model::{Event, EventFlags, Membership, StreamPos};
use ruma::{OwnedUserId, UserId};

use crate::{
    redact::prune,
    version::RoomVersion,
    visibility::{HistoryVisibility, Viewpoint, is_ignored, may_see},
};

/// The values that held in turn, each from its position on, with the newest last.
type Changes<T> = Vec<(StreamPos, T)>;

/// One user's view of one room: how its history visibility and the user's membership changed over time.
#[derive(Debug, Clone)]
pub struct Sight {
    user_id: OwnedUserId,
    visibilities: Changes<HistoryVisibility>,
    memberships: Changes<Membership>,
    /// The position up to which the user was last in the room. `None`: the user never was.
    joined_upto: Option<StreamPos>,
    ignored: Arc<HashSet<OwnedUserId>>,
    erased: Arc<HashSet<OwnedUserId>>,
}

impl Sight {
    /// The view of `user_id`, from the contents of the room's `m.room.history_visibility` events and the user's memberships in
    /// it, both by rising position. `ignored` are the users whom the user ignores, `erased` those who were erased when they left
    /// this server for good.
    pub fn new<'a>(
        user_id: &UserId,
        visibilities: impl IntoIterator<Item = (StreamPos, &'a str)>,
        memberships: impl IntoIterator<Item = (StreamPos, Membership)>,
        ignored: Arc<HashSet<OwnedUserId>>,
        erased: Arc<HashSet<OwnedUserId>>,
    ) -> Self {
        let visibilities = visibilities
            .into_iter()
            .map(|(pos, content)| (pos, HistoryVisibility::parse(content)))
            .collect();
        let memberships: Changes<Membership> = memberships.into_iter().collect();
        let mut joined_upto = None;
        let mut changes = memberships.iter().peekable();
        while let Some((_, membership)) = changes.next() {
            if *membership == Membership::Join {
                joined_upto = Some(changes.peek().map_or(StreamPos(i64::MAX), |(pos, _)| *pos));
            }
        }
        Self {
            user_id: user_id.to_owned(),
            visibilities,
            memberships,
            joined_upto,
            ignored,
            erased,
        }
    }

    /// The user whose view it is.
    pub fn user_id(&self) -> &UserId {
        &self.user_id
    }

    /// The users whom the user ignores.
    pub fn ignored(&self) -> &HashSet<OwnedUserId> {
        &self.ignored
    }

    /// The user's membership now.
    pub fn membership(&self) -> Option<Membership> {
        self.memberships.last().map(|(_, membership)| *membership)
    }

    /// The user's membership after the event at `pos`.
    pub fn membership_at(&self, pos: StreamPos) -> Option<Membership> {
        at(&self.memberships, pos)
    }

    /// The position up to which the user was last in the room: that of the event that ended it, or the greatest there
    /// is if the user is in the room now. `None` if the user never was.
    pub fn joined_upto(&self) -> Option<StreamPos> {
        self.joined_upto
    }

    /// The room's history visibility now.
    pub fn visibility(&self) -> HistoryVisibility {
        self.visibilities.last().map(|(_, visibility)| *visibility).unwrap_or_default()
    }

    /// Whether every event of the room is visible, those of ignored users aside: there is no need to ask for each.
    pub fn sees_all(&self) -> bool {
        self.joined_upto == Some(StreamPos(i64::MAX))
            && self.visibilities.iter().all(|(_, visibility)| {
                matches!(visibility, HistoryVisibility::Shared | HistoryVisibility::WorldReadable)
            })
    }

    /// Whether the user may see the event: by history visibility, because its sender is not ignored, and because it passed the
    /// checks. The user's own member events are always visible.
    pub fn may_see(&self, event: &Event) -> bool {
        is_seen(event, &self.user_id, &self.ignored, |pos| self.may_see_at(pos))
    }

    /// Whether the user may see the event, or would see it but for ignoring who sent it.
    pub fn would_see(&self, event: &Event) -> bool {
        is_seen(event, &self.user_id, &HashSet::new(), |pos| self.may_see_at(pos))
    }

    /// The event as the user sees it, if it may be seen: what erased users sent is shown in full only to whom they sent it, who were in
    /// the room at that time.
    pub fn shown(&self, event: Arc<Event>, version: RoomVersion) -> Arc<Event> {
        if !self.erased.contains(&event.sender) {
            return event;
        }
        let was_joined = event.pos.is_some_and(|pos| {
            let before = StreamPos(pos.0.saturating_sub(1));
            [before, pos].iter().any(|pos| self.membership_at(*pos) == Some(Membership::Join))
        });
        if was_joined { event } else { Arc::new(prune(&event, version)) }
    }

    /// Whether the user may see what stands at a position.
    pub fn may_see_at(&self, pos: StreamPos) -> bool {
        let before = StreamPos(pos.0.saturating_sub(1));
        may_see(&Viewpoint {
            visibility_before: at(&self.visibilities, before).unwrap_or_default(),
            visibility_after: at(&self.visibilities, pos).unwrap_or_default(),
            membership_before: at(&self.memberships, before),
            membership_after: at(&self.memberships, pos),
            joined_since: self.joined_upto.is_some_and(|upto| pos < upto),
        })
    }
}

/// Whether a user sees an event, where `may_see_at` tells what history visibility allows at its position. This decides for every
/// read path, whether it knows a room's whole history or only a window of it.
pub fn is_seen(
    event: &Event,
    user_id: &UserId,
    ignored: &HashSet<OwnedUserId>,
    may_see_at: impl FnOnce(StreamPos) -> bool,
) -> bool {
    if !event.is_visible() || is_hidden(event) {
        return false;
    }
    // One's own coming and going is never a secret.
    if event.is_state_of("m.room.member", user_id.as_str()) {
        return true;
    }
    if is_ignored(event.is_state(), &event.sender, |sender| ignored.contains(sender)) {
        return false;
    }
    let pos = event.pos.filter(|_| !event.flags.contains(EventFlags::OUTLIER));
    pos.is_some_and(may_see_at)
}

/// Events that carry nothing for clients: aliases as rooms once announced them, and what servers send to join forks.
fn is_hidden(event: &Event) -> bool {
    matches!(&*event.event_type, "m.room.aliases" | "org.matrix.dummy_event")
}

/// The value that holds at a position.
fn at<T: Copy>(changes: &Changes<T>, pos: StreamPos) -> Option<T> {
    let after = changes.partition_point(|(since, _)| *since <= pos);
    after.checked_sub(1).and_then(|last| changes.get(last)).map(|(_, value)| *value)
}

#[cfg(test)]
mod tests {
    use ruma::user_id;

    use super::*;
    use Membership::{Invite, Join, Leave};

    fn seen(visibilities: &[(i64, &str)], memberships: &[(i64, Membership)]) -> Vec<i64> {
        let visibilities: Vec<(StreamPos, String)> = visibilities
            .iter()
            .map(|(pos, name)| (StreamPos(*pos), format!(r#"{{"history_visibility":"{name}"}}"#)))
            .collect();
        let sight = Sight::new(
            user_id!("@a:h"),
            visibilities.iter().map(|(pos, content)| (*pos, &**content)),
            memberships.iter().map(|(pos, membership)| (StreamPos(*pos), *membership)),
            Arc::default(),
            Arc::default(),
        );
        (1..=9).filter(|pos| sight.may_see_at(StreamPos(*pos))).collect()
    }

    #[test]
    fn what_is_seen_follows_both_histories() {
        let all: Vec<i64> = (1..=9).collect();
        assert_eq!(seen(&[], &[(5, Join)]), all);
        assert_eq!(seen(&[(1, "joined")], &[(5, Join)]), [1, 5, 6, 7, 8, 9]);
        assert_eq!(seen(&[(1, "invited")], &[(3, Invite), (5, Join)]), [1, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(seen(&[(1, "joined")], &[(3, Join), (6, Leave)]), [1, 3, 4, 5, 6]);
        assert_eq!(seen(&[(1, "shared")], &[(3, Join), (6, Leave)]), [1, 2, 3, 4, 5, 6]);
        assert_eq!(seen(&[(1, "shared")], &[]), Vec::<i64>::new());
        assert_eq!(seen(&[(1, "shared"), (4, "world_readable"), (7, "joined")], &[]), [4, 5, 6, 7]);
        assert_eq!(seen(&[(1, "joined"), (4, "shared")], &[(8, Join)]), [1, 4, 5, 6, 7, 8, 9]);
    }
}
