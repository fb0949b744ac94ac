//! The facts that decide on the events which a user may see, from the database.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use myelin_events::{
    pdu::content_of,
    sight::{Course, MemberAt, Sight, StatesAt},
    visibility::HistoryVisibility,
};
use myelin_model::{Event, EventNid, Membership, RoomNid, StateKeyNid, StateNid, StreamPos};
use myelin_storage::{Db, RoomHead, StateKey, StorageError};
use ruma::{OwnedUserId, UserId};

/// A user's view of a room. `ignored` are the users whom the user ignores. It takes at most one query, mostly none.
pub async fn get_sight(
    db: &Db,
    head: &RoomHead,
    user_id: &UserId,
    ignored: Arc<HashSet<OwnedUserId>>,
) -> Result<Sight, StorageError> {
    let history = db.visibility_histories().get(head, user_id).await?;
    let course = Course {
        visibilities: history.visibilities.iter().copied(),
        memberships: history.memberships.iter().copied(),
        branched_pos: head.branched_pos,
        is_open: head.is_open,
    };
    Ok(Sight::new(user_id, course, ignored, db.users().list_erased().await?))
}

/// Look up the states at those of the events about which a user's views of their rooms must know them. It takes at most three queries for
/// all events together, and none for rooms that never branched and what was looked up before.
pub async fn look_up(
    db: &Db,
    user_id: &UserId,
    sights: &mut HashMap<RoomNid, Sight>,
    events: &[Arc<Event>],
) -> Result<(), StorageError> {
    let must_look_up = |event: &&Arc<Event>| {
        sights.get(&event.room_nid).is_some_and(|sight| sight.must_look_up(event))
    };
    let unclear: Vec<&Arc<Event>> = events.iter().filter(must_look_up).collect();
    for ((room_nid, nid, pos), states) in states_at(db, user_id, &unclear).await? {
        if let Some(sight) = sights.get_mut(&room_nid) {
            sight.learn(nid, pos, &states);
        }
    }
    Ok(())
}

/// As [`look_up`], for the events of one room.
pub(crate) async fn look_up_in(
    db: &Db,
    sight: &mut Sight,
    events: &[Arc<Event>],
) -> Result<(), StorageError> {
    let unclear: Vec<&Arc<Event>> =
        events.iter().filter(|event| sight.must_look_up(event)).collect();
    let user_id = sight.user_id().to_owned();
    for ((_, nid, pos), states) in states_at(db, &user_id, &unclear).await? {
        sight.learn(nid, pos, &states);
    }
    Ok(())
}

/// An event: its room, its number and its position.
type At = (RoomNid, EventNid, Option<StreamPos>);

/// The part of the states at some events that decides what they are to a user. An event whose states cannot be read is left out.
async fn states_at(
    db: &Db,
    user_id: &UserId,
    events: &[&Arc<Event>],
) -> Result<Vec<(At, StatesAt)>, StorageError> {
    if events.is_empty() {
        return Ok(Vec::new());
    }
    let mut nids: Vec<StateNid> =
        events.iter().flat_map(|event| [event.state_before, event.state_after]).flatten().collect();
    nids.sort_unstable();
    nids.dedup();
    let values = db.states().list_values(&nids, keys(db, user_id).await?).await?;
    let named: HashSet<EventNid> = values.values().flatten().flatten().copied().collect();
    let named: Vec<EventNid> = named.into_iter().collect();
    let found = db.events().find_many(&named).await?;
    let at = |nid: Option<StateNid>| -> Option<(HistoryVisibility, Option<MemberAt>)> {
        // There was no state before a room's first event.
        let Some(nid) = nid else { return Some((HistoryVisibility::default(), None)) };
        let [visibility, member] = values.get(&nid)?;
        let visibility = match visibility {
            Some(nid) => HistoryVisibility::parse(content_of(&found.get(nid)?.json)?),
            None => HistoryVisibility::default(),
        };
        let member = match member {
            Some(nid) => Some(member_at(found.get(nid)?)),
            None => None,
        };
        Some((visibility, member))
    };
    let states = events.iter().filter_map(|event| {
        let (visibility_before, member_before) = at(event.state_before)?;
        let (visibility_after, member_after) = at(Some(event.state_after?))?;
        let states = StatesAt { visibility_before, visibility_after, member_before, member_after };
        Some(((event.room_nid, event.nid, event.pos), states))
    });
    Ok(states.collect())
}

/// The keys of the state that decide.
async fn keys(db: &Db, user_id: &UserId) -> Result<[Option<StateKeyNid>; 2], StorageError> {
    let keys = [
        StateKey::new("m.room.history_visibility", ""),
        StateKey::new("m.room.member", user_id.as_str()),
    ];
    let nids = db.state_keys().find_many(&keys).await?;
    Ok(keys.each_ref().map(|key| nids.get(key).copied()))
}

fn member_at(event: &Event) -> MemberAt {
    MemberAt {
        // Of a membership that is not known nothing may follow in the user's favor.
        membership: event.membership.unwrap_or(Membership::Leave),
        pos: event.pos.filter(|pos| *pos > StreamPos::ZERO),
    }
}
