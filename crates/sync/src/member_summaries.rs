//! Member counts and heroes of rooms, in memory: read once, then carried on by the member events that the log brings.
//!
//! A large room's members are counted once for everybody who syncs on this node, and a member who comes or goes costs no
//! query. Where an event is not enough to know the next summary, it is read again.

use std::{collections::HashMap, sync::Arc};

use myelin_model::{Event, Membership, RoomNid, StreamPos};
use myelin_storage::{
    Change, Db, EventCache, LogEntry, MemberSummary, SUMMARY_MEMBERS_MAX, StorageError,
};
use quick_cache::sync::Cache;
use ruma::OwnedUserId;

use crate::view::View;

/// The number of rooms whose summaries are kept.
const SUMMARIES_MAX: usize = 10_000;

/// The summaries in memory.
pub(crate) struct MemberSummaries {
    rooms: Cache<RoomNid, Known>,
}

#[derive(Clone)]
struct Known {
    summary: Arc<MemberSummary>,
    /// Every member event up to this position is counted.
    upto: StreamPos,
}

impl Default for MemberSummaries {
    fn default() -> Self {
        Self { rooms: Cache::new(SUMMARIES_MAX) }
    }
}

impl MemberSummaries {
    /// The summaries of rooms as they stand. It takes at most one query, for those that are not in memory.
    pub(crate) async fn get_many(
        &self,
        db: &Db,
        view: &View,
        room_nids: &[RoomNid],
    ) -> Result<HashMap<RoomNid, Arc<MemberSummary>>, StorageError> {
        let (mut found, mut missing) = (HashMap::with_capacity(room_nids.len()), Vec::new());
        for room_nid in room_nids {
            match self.find(db.event_cache(), view, *room_nid) {
                Some(summary) => drop(found.insert(*room_nid, summary)),
                None => missing.push(*room_nid),
            }
        }
        if missing.is_empty() {
            return Ok(found);
        }
        let read_at = view.last();
        for (room_nid, upto, summary) in db.memberships().list_summaries(&missing).await? {
            let summary = Arc::new(summary);
            let known = Known { summary: Arc::clone(&summary), upto: upto.max(read_at) };
            self.rooms.insert(room_nid, known);
            found.insert(room_nid, summary);
        }
        Ok(found)
    }

    fn find(
        &self,
        events: &EventCache,
        view: &View,
        room_nid: RoomNid,
    ) -> Option<Arc<MemberSummary>> {
        let mut known = self.rooms.get(&room_nid)?;
        let entries = view.room_since(room_nid, known.upto)?;
        for entry in &entries {
            follow(&mut known.summary, entry, events)?;
        }
        if let Some(last) = entries.last() {
            known.upto = last.pos;
            self.rooms.insert(room_nid, known.clone());
        }
        Some(known.summary)
    }
}

/// Carry a summary on by an entry. `None` if the entry is not enough to know the next summary.
fn follow(summary: &mut Arc<MemberSummary>, entry: &LogEntry, events: &EventCache) -> Option<()> {
    match &entry.change {
        Change::Event(event) if event.membership.is_some() && event.is_visible() => {
            let before = match event.replaces {
                Some(replaced) => events.find(replaced)?.membership,
                None => None,
            };
            take_up(Arc::make_mut(summary), event, before)
        }
        Change::StateReset { .. } | Change::Other { .. } => None,
        Change::Event(_)
        | Change::Receipt { .. }
        | Change::AccountData { .. }
        | Change::Sessions { .. }
        | Change::Account { .. }
        | Change::Profile { .. }
        | Change::DeviceList { .. }
        | Change::ToDevice { .. }
        | Change::KeyCounts { .. }
        | Change::Signatures { .. }
        | Change::Rewritten { .. }
        | Change::Forgotten { .. } => Some(()),
    }
}

/// Count a member event. `before` is the membership that it took the place of.
fn take_up(summary: &mut MemberSummary, event: &Event, before: Option<Membership>) -> Option<()> {
    let now = event.membership?;
    let user_id = OwnedUserId::try_from(event.state_key.as_deref()?).ok()?;
    let all_named = i64::try_from(summary.here.len()) == Ok(summary.joined + summary.invited);
    summary.joined +=
        i64::from(now == Membership::Join) - i64::from(before == Some(Membership::Join));
    summary.invited +=
        i64::from(now == Membership::Invite) - i64::from(before == Some(Membership::Invite));
    let is_here = matches!(now, Membership::Join | Membership::Invite);
    summary.gone.retain(|(gone, _)| *gone != user_id);
    match summary.here.iter().position(|(named, _)| *named == user_id) {
        // A member with a new name keeps the place.
        Some(at) if is_here => summary.here.get_mut(at)?.1 = event.nid,
        Some(at) => {
            // Who is named next is known only if all are named.
            all_named.then_some(())?;
            summary.here.remove(at);
        }
        None if is_here && all_named && summary.here.len() < SUMMARY_MEMBERS_MAX => {
            summary.here.push((user_id.clone(), event.nid));
        }
        None => {}
    }
    if matches!(now, Membership::Leave | Membership::Ban) {
        summary.gone.push((user_id, event.nid));
    }
    summary.gone.truncate(SUMMARY_MEMBERS_MAX.saturating_sub(summary.here.len()));
    Some(())
}

#[cfg(test)]
mod tests {
    use myelin_model::EventNid;

    use super::*;
    use crate::test_events::event;

    fn member(nid: i64, user: &str, membership: Membership) -> Event {
        event(nid, 1, nid, Some((&format!("@{user}:h"), membership)))
    }

    /// Follow steps of `(user, before, now)`: the counts, who is named as here and as gone; `None` where it must be read again.
    fn check(
        steps: &[(&str, Option<Membership>, Membership)],
        expect: Option<(i64, i64, &str, &str)>,
    ) {
        let mut summary = MemberSummary::default();
        let mut followed = Some(());
        for ((user, before, now), nid) in steps.iter().zip(1..) {
            followed =
                followed.and_then(|()| take_up(&mut summary, &member(nid, user, *now), *before));
        }
        let names = |named: &[(OwnedUserId, EventNid)]| -> String {
            named.iter().map(|(user_id, nid)| format!("{}{nid} ", user_id.localpart())).collect()
        };
        let (here, gone) = (names(&summary.here), names(&summary.gone));
        let got = followed.map(|()| (summary.joined, summary.invited, here.trim(), gone.trim()));
        assert_eq!(got, expect, "{steps:?}");
    }

    const JOIN: Membership = Membership::Join;
    const INVITE: Membership = Membership::Invite;
    const LEAVE: Membership = Membership::Leave;

    #[test]
    fn who_comes_and_goes_is_counted_and_named() {
        check(&[("a", None, JOIN), ("b", None, INVITE)], Some((1, 1, "a1 b2", "")));
        check(
            &[("a", None, JOIN), ("b", None, INVITE), ("b", Some(INVITE), JOIN)],
            Some((2, 0, "a1 b3", "")),
        );
        check(
            &[("a", None, JOIN), ("b", None, JOIN), ("a", Some(JOIN), LEAVE)],
            Some((1, 0, "b2", "a3")),
        );
        check(
            &[
                ("a", None, JOIN),
                ("a", Some(JOIN), Membership::Ban),
                ("a", Some(Membership::Ban), LEAVE),
            ],
            Some((0, 0, "", "a3")),
        );
        check(&[("a", None, JOIN), ("b", None, Membership::Knock)], Some((1, 0, "a1", "")));
        check(
            &[("a", None, JOIN), ("a", Some(JOIN), LEAVE), ("a", Some(LEAVE), JOIN)],
            Some((1, 0, "a3", "")),
        );
    }

    #[test]
    fn of_many_the_first_stay_named_and_the_next_one_must_be_read() {
        let many: Vec<_> =
            ["a", "b", "c", "d", "e", "f", "g"].map(|user| (user, None, JOIN)).into();
        check(&many, Some((7, 0, "a1 b2 c3 d4 e5 f6", "")));
        check(
            &[&*many, &[("g", Some(JOIN), LEAVE)]].concat(),
            Some((6, 0, "a1 b2 c3 d4 e5 f6", "")),
        );
        check(
            &[&*many, &[("c", Some(JOIN), JOIN)]].concat(),
            Some((7, 0, "a1 b2 c8 d4 e5 f6", "")),
        );
        check(&[&*many, &[("c", Some(JOIN), LEAVE)]].concat(), None);
    }
}
