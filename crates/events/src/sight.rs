//! An event as it is to its reader: the one place where every read path asks.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use myelin_model::{Event, EventFlags, EventNid, Membership, StreamPos};
use ruma::{OwnedUserId, UserId};

use crate::{
    redact::prune,
    version::RoomVersion,
    visibility::{HistoryVisibility, Viewpoint, is_ignored, may_see},
};

/// The values that held in turn, each from its position on, with the newest last.
type Changes<T> = Vec<(StreamPos, T)>;

/// The course of a room, as far as it decides what its events are to a user: one line of changes, by position.
///
/// It is right for the events after `branched_pos` and for no others. At each of these the state before the event was the room's
/// current state, and became the one after it by taking it in alone: so the last change up to an event's position is what the state
/// at the event has. At any other event the state may be another, as on a branch of the room, or before what it was reset to; it
/// must be looked up.
#[derive(Debug, Clone, Copy)]
pub struct Course<V, M> {
    /// The values of the room's `m.room.history_visibility` events, each of which replaced the one before it, the oldest first. An event
    /// without a position stands beside the log. Before the first of them the default held.
    pub visibilities: V,
    /// The user's memberships, in the same way.
    pub memberships: M,
    /// The position of the last event that does not stand on the line.
    pub branched_pos: StreamPos,
    /// Whether no event of the room ever kept its history from members who join later.
    pub is_open: bool,
}

/// A membership in the state at an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemberAt {
    pub membership: Membership,
    /// The position of the member event. `None` if it stands beside the log.
    pub pos: Option<StreamPos>,
}

/// The part of the states before and after an event that decides what it is to a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatesAt {
    pub visibility_before: HistoryVisibility,
    pub visibility_after: HistoryVisibility,
    pub member_before: Option<MemberAt>,
    pub member_after: Option<MemberAt>,
}

/// One user's view of one room.
#[derive(Debug, Clone)]
pub struct Sight {
    user_id: OwnedUserId,
    visibilities: Changes<HistoryVisibility>,
    memberships: Changes<Membership>,
    branched_pos: StreamPos,
    is_open: bool,
    /// The position of the user's last join. `None` if there is none in the log.
    last_join: Option<StreamPos>,
    /// The position up to which the user was last in the room. `None`: the user never was.
    joined_upto: Option<StreamPos>,
    /// The user has forgotten the room: it counts for nothing that the user was in it.
    is_forgotten: bool,
    /// The events whose states were looked up.
    looked_up: HashMap<EventNid, Viewpoint>,
    ignored: Arc<HashSet<OwnedUserId>>,
    erased: Arc<HashSet<OwnedUserId>>,
}

impl Sight {
    /// The view of `user_id`. `ignored` are the users whom the user ignores, `erased` those who were erased when they left this server
    /// for good.
    pub fn new(
        user_id: &UserId,
        course: Course<
            impl IntoIterator<Item = (Option<StreamPos>, HistoryVisibility)>,
            impl IntoIterator<Item = (Option<StreamPos>, Membership)>,
        >,
        ignored: Arc<HashSet<OwnedUserId>>,
        erased: Arc<HashSet<OwnedUserId>>,
    ) -> Self {
        let branched_pos = course.branched_pos;
        let mut last_join = None;
        let memberships = course.memberships.into_iter().inspect(|(pos, membership)| {
            if *membership == Membership::Join {
                last_join = last_join.max(*pos);
            }
        });
        let memberships = in_order(memberships, branched_pos);
        Self {
            user_id: user_id.to_owned(),
            visibilities: in_order(course.visibilities.into_iter(), branched_pos),
            joined_upto: joined_upto(&memberships),
            memberships,
            branched_pos,
            is_open: course.is_open,
            last_join,
            is_forgotten: false,
            looked_up: HashMap::new(),
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

    /// The user's membership after an event. Where the states at the event should have been looked up and were not, it is what it was
    /// when the event came.
    pub fn membership_at(&self, event: &Event) -> Option<Membership> {
        match self.looked_up.get(&event.nid) {
            Some(view) => view.membership_after,
            None => event.pos.and_then(|pos| at(&self.memberships, pos)),
        }
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

    /// Whether everybody could read the room at some time.
    pub fn was_world_readable(&self) -> bool {
        let mut visibilities = self.visibilities.iter().map(|(_, visibility)| *visibility);
        visibilities.any(|visibility| visibility == HistoryVisibility::WorldReadable)
    }

    /// See no more than somebody who never was in the room. What was looked up before is forgotten, too.
    pub fn forget(&mut self) {
        self.is_forgotten = true;
        self.memberships.clear();
        self.looked_up.clear();
        (self.last_join, self.joined_upto) = (None, None);
    }

    /// Whether the states at an event must be looked up to know what it is to the user: see [`Sight::learn`].
    pub fn must_look_up(&self, event: &Event) -> bool {
        let is_unclear = |pos| {
            self.is_off_line(pos) || pos <= self.branched_pos && self.erased.contains(&event.sender)
        };
        place(event).is_some_and(is_unclear) && !self.looked_up.contains_key(&event.nid)
    }

    /// Whether the position of an event does not tell what it is to the user.
    pub fn is_off_line(&self, pos: StreamPos) -> bool {
        pos <= self.branched_pos && !self.sees_all_at(pos)
    }

    /// Learn the states at an event that [`Sight::must_look_up`] names.
    pub fn learn(&mut self, event: EventNid, pos: Option<StreamPos>, states: &StatesAt) {
        let known = |member: Option<MemberAt>| member.filter(|_| !self.is_forgotten);
        let membership = |member| known(member).map(|member| member.membership);
        let view = Viewpoint {
            visibility_before: states.visibility_before,
            visibility_after: states.visibility_after,
            membership_before: membership(states.member_before),
            membership_after: membership(states.member_after),
            joined_since: self
                .joined_after(known(states.member_after).map_or(pos, |member| member.pos)),
        };
        self.looked_up.insert(event, view);
    }

    /// Whether the user may see the event: by history visibility, because its sender is not ignored, and because it passed the
    /// checks. The user's own member events are always visible. What should have been looked up and was not is not.
    pub fn may_see(&self, event: &Event) -> bool {
        is_seen(event, &self.user_id, &self.ignored, |pos| self.may_see_place(event.nid, pos))
    }

    /// Whether the user may see the event, or would see it but for ignoring who sent it.
    pub fn would_see(&self, event: &Event) -> bool {
        is_seen(event, &self.user_id, &HashSet::new(), |pos| self.may_see_place(event.nid, pos))
    }

    /// Whether history visibility lets the user see an event of this number and position.
    pub fn may_see_place(&self, event: EventNid, pos: StreamPos) -> bool {
        if self.sees_all_at(pos) {
            return true;
        }
        let on_line = || (pos > self.branched_pos).then(|| self.on_line(pos));
        self.looked_up.get(&event).copied().or_else(on_line).is_some_and(|view| may_see(&view))
    }

    /// The event as the user sees it, if it may be seen: what erased users sent is shown in full only to whom they sent it, who were in
    /// the room at that time.
    pub fn shown(&self, event: Arc<Event>, version: RoomVersion) -> Arc<Event> {
        if !self.erased.contains(&event.sender) || self.was_joined_at(&event) {
            return event;
        }
        Arc::new(prune(&event, version))
    }

    /// Whether the user is known to have been in the room before an event or after it.
    pub fn was_joined_at(&self, event: &Event) -> bool {
        let on_line = || {
            let pos = place(event).filter(|pos| *pos > self.branched_pos)?;
            Some(self.on_line(pos))
        };
        self.looked_up.get(&event.nid).copied().or_else(on_line).is_some_and(|view| {
            [view.membership_before, view.membership_after].contains(&Some(Membership::Join))
        })
    }

    /// Whether all that stands in the log up to here is visible to the user, those of ignored users aside. What is before the log may
    /// be of a time about which this server knew nothing.
    fn sees_all_at(&self, pos: StreamPos) -> bool {
        pos > StreamPos::ZERO && self.is_open && self.membership() == Some(Membership::Join)
    }

    /// The view of what stands on the line.
    fn on_line(&self, pos: StreamPos) -> Viewpoint {
        let before = StreamPos(pos.0.saturating_sub(1));
        Viewpoint {
            visibility_before: at(&self.visibilities, before).unwrap_or_default(),
            visibility_after: at(&self.visibilities, pos).unwrap_or_default(),
            membership_before: at(&self.memberships, before),
            membership_after: at(&self.memberships, pos),
            joined_since: self.joined_upto.is_some_and(|upto| pos < upto),
        }
    }

    /// Whether the user came into the room after this position: that of the user's membership at an event, or of the event itself if the
    /// user had none. In doubt the user did not: who has left sees nothing of what came afterwards, however late it comes.
    fn joined_after(&self, pos: Option<StreamPos>) -> bool {
        self.membership() == Some(Membership::Join)
            || pos.zip(self.last_join).is_some_and(|(pos, join)| pos < join)
    }
}

/// The changes with the positions from which they hold. One that stands beside the log, or out of order, holds at the latest from
/// `branched_pos` on: which of those up to there held when is never asked.
fn in_order<T>(
    changes: impl Iterator<Item = (Option<StreamPos>, T)>,
    branched_pos: StreamPos,
) -> Changes<T> {
    let mut last = StreamPos(i64::MIN);
    changes
        .map(|(pos, value)| {
            last = last.max(pos.unwrap_or(branched_pos));
            (last, value)
        })
        .collect()
}

/// The position up to which a user of these memberships was last in the room.
fn joined_upto(memberships: &Changes<Membership>) -> Option<StreamPos> {
    let mut joined_upto = None;
    let mut changes = memberships.iter().peekable();
    while let Some((_, membership)) = changes.next() {
        if *membership == Membership::Join {
            joined_upto = Some(changes.peek().map_or(StreamPos(i64::MAX), |(pos, _)| *pos));
        }
    }
    joined_upto
}

/// The position of an event that is part of the room's history.
fn place(event: &Event) -> Option<StreamPos> {
    event.pos.filter(|_| !event.flags.contains(EventFlags::OUTLIER))
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
    place(event).is_some_and(may_see_at)
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
    use HistoryVisibility::{Invited, Joined, Shared, WorldReadable};
    use Membership::{Invite, Join, Leave};

    fn seen(
        visibilities: &[(i64, HistoryVisibility)],
        memberships: &[(i64, Membership)],
    ) -> Vec<i64> {
        let sight = sight(visibilities, memberships, 0);
        (1..=9).filter(|pos| sight.may_see_place(EventNid(*pos), StreamPos(*pos))).collect()
    }

    fn sight(
        visibilities: &[(i64, HistoryVisibility)],
        memberships: &[(i64, Membership)],
        branched_pos: i64,
    ) -> Sight {
        let course = Course {
            visibilities: visibilities
                .iter()
                .map(|(pos, visibility)| (Some(StreamPos(*pos)), *visibility)),
            memberships: memberships
                .iter()
                .map(|(pos, membership)| (Some(StreamPos(*pos)), *membership)),
            branched_pos: StreamPos(branched_pos),
            is_open: false,
        };
        Sight::new(user_id!("@a:h"), course, Arc::default(), Arc::default())
    }

    #[test]
    fn what_is_off_the_line_is_seen_by_its_own_states() {
        let mut sight = sight(&[], &[(3, Join), (6, Leave)], 5);
        let place = |pos| (EventNid(pos), StreamPos(pos));
        let sees = |sight: &Sight, pos| {
            let (nid, pos) = place(pos);
            sight.may_see_place(nid, pos)
        };
        assert!(!sees(&sight, 4), "what was not looked up is not seen");
        assert!(!sees(&sight, -4));
        let member =
            |membership, pos: Option<i64>| Some(MemberAt { membership, pos: pos.map(StreamPos) });
        for (visibility, member, expect) in [
            (HistoryVisibility::Joined, member(Join, Some(3)), true),
            (HistoryVisibility::Joined, member(Leave, Some(2)), false),
            (HistoryVisibility::Shared, None, true),
            (HistoryVisibility::Shared, member(Leave, Some(2)), true),
            (HistoryVisibility::Shared, member(Leave, Some(6)), false),
            (HistoryVisibility::Shared, member(Leave, None), false),
            (HistoryVisibility::WorldReadable, member(Leave, None), true),
        ] {
            let states = StatesAt {
                visibility_before: visibility,
                visibility_after: visibility,
                member_before: member,
                member_after: member,
            };
            sight.learn(EventNid(-4), Some(StreamPos(-4)), &states);
            assert_eq!(sees(&sight, -4), expect, "{states:?}");
            // On a branch that came when the user had left, of a time when nobody there knew the user.
            sight.learn(EventNid(4), Some(StreamPos(4)), &states);
            let expect = expect && (member.is_some() || visibility != HistoryVisibility::Shared);
            assert_eq!(sees(&sight, 4), expect, "{states:?}");
        }
    }

    #[test]
    fn what_is_seen_follows_both_histories() {
        let all: Vec<i64> = (1..=9).collect();
        assert_eq!(seen(&[], &[(5, Join)]), all);
        assert_eq!(seen(&[(1, Joined)], &[(5, Join)]), [1, 5, 6, 7, 8, 9]);
        assert_eq!(seen(&[(1, Invited)], &[(3, Invite), (5, Join)]), [1, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(seen(&[(1, Joined)], &[(3, Join), (6, Leave)]), [1, 3, 4, 5, 6]);
        assert_eq!(seen(&[(1, Shared)], &[(3, Join), (6, Leave)]), [1, 2, 3, 4, 5, 6]);
        assert_eq!(seen(&[(1, Shared)], &[]), Vec::<i64>::new());
        assert_eq!(seen(&[(1, Shared), (4, WorldReadable), (7, Joined)], &[]), [4, 5, 6, 7]);
        assert_eq!(seen(&[(1, Joined), (4, Shared)], &[(8, Join)]), [1, 4, 5, 6, 7, 8, 9]);
    }
}
