//! The users whose devices the client must look at again, and those whom it may forget (client-server API, "Extensions
//! to /sync").

use std::collections::{BTreeMap, BTreeSet};

use myelin_events::canonical::write_string;
use myelin_model::{Membership, RoomNid};
use myelin_storage::StorageError;
use ruma::{OwnedUserId, UserId};

use super::{Pass, plan::Plan};
use crate::reader::{Loaded, RoomRead, sharers};

/// The users whose devices look different to a user than before.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct DeviceLists {
    /// The users whose keys are to be asked for again, since they changed, or since they share a room with the user only now.
    pub changed: BTreeSet<OwnedUserId>,
    /// The users who share no room with the user any more.
    pub left: BTreeSet<OwnedUserId>,
}

/// Write the users whose devices changed, or who share a room with the user since or no more.
pub(super) fn write(lists: &DeviceLists, out: &mut String) {
    let mut written = String::new();
    write_list("changed", &lists.changed, &mut written);
    write_list("left", &lists.left, &mut written);
    if !written.is_empty() {
        out.push_str(&format!(",\"device_lists\":{{{written}}}"));
    }
}

/// Find the users whose devices changed, or who share a room with the user since or no more. It takes at most three
/// queries, and none where nobody came or went.
pub(super) async fn find(
    pass: &Pass<'_>,
    plan: &Plan,
    loaded: &Loaded,
) -> Result<DeviceLists, StorageError> {
    // Whom the user signed, the user knows, whether or not they share a room.
    let mut lists = DeviceLists { changed: plan.signed.clone(), ..DeviceLists::default() };
    if pass.since.is_none() {
        return Ok(lists);
    }
    let mut changed: BTreeSet<OwnedUserId> = plan.device_lists.iter().cloned().collect();
    let mut gone: BTreeSet<OwnedUserId> = BTreeSet::new();
    let (moves, mut sharing) = moves(plan, loaded);
    for (user_id, is_here) in moves {
        if is_here {
            gone.remove(&user_id);
            changed.insert(user_id);
        } else {
            changed.remove(&user_id);
            gone.insert(user_id);
        }
    }
    let db = pass.reader.sync.db();
    let nids = |wanted: fn(&RoomRead) -> bool| -> Vec<RoomNid> {
        plan.rooms
            .iter()
            .map(|task| &task.read)
            .filter(|room| wanted(room))
            .map(|room| room.room_nid)
            .collect()
    };
    let entered = nids(|room| room.newly_joined);
    if !entered.is_empty() {
        changed.extend(db.memberships().list_joined(&entered).await?);
    }
    let left = nids(|room| !room.is_joined() && !room.bare);
    if !left.is_empty() {
        gone.extend(db.memberships().list_joined(&left).await?);
    }
    gone.remove(pass.reader.user_id);
    if changed.is_empty() && gone.is_empty() {
        return Ok(lists);
    }
    let unsure: Vec<OwnedUserId> =
        changed.union(&gone).filter(|user_id| !sharing.contains(*user_id)).cloned().collect();
    sharing.extend(sharers(&pass.reader, plan.joined.as_deref(), &unsure).await?);
    lists.changed.extend(changed.intersection(&sharing).cloned());
    lists.left.extend(gone.difference(&sharing).cloned());
    Ok(lists)
}

/// The users who came to the user's rooms, or went, in order; and those among them who are joined to one of the rooms
/// now.
fn moves(plan: &Plan, loaded: &Loaded) -> (Vec<(OwnedUserId, bool)>, BTreeSet<OwnedUserId>) {
    let (mut moves, mut joined) = (Vec::new(), BTreeSet::new());
    let rooms = plan.rooms.iter().map(|task| &task.read);
    for room in rooms.filter(|room| room.is_joined() && !room.newly_joined) {
        let Some(window) = loaded.windows.get(&room.room_nid) else { continue };
        let gap = window.gap.iter().filter_map(|row| loaded.events.get(&row.event_nid));
        let mut last: BTreeMap<OwnedUserId, Membership> = BTreeMap::new();
        for event in gap.chain(&window.events) {
            let (Some(membership), Some(state_key)) = (event.membership, &event.state_key) else {
                continue;
            };
            let Ok(user_id) = UserId::parse(&**state_key) else { continue };
            let before = event.replaces.and_then(|nid| loaded.events.get(&nid));
            let was_here = before.is_some_and(|event| event.membership == Some(Membership::Join));
            last.insert(user_id.clone(), membership);
            match membership {
                // A new name is no coming.
                Membership::Join if was_here => {}
                Membership::Join | Membership::Invite | Membership::Knock => {
                    moves.push((user_id, true));
                }
                Membership::Leave | Membership::Ban => moves.push((user_id, false)),
            }
        }
        let here = last.into_iter().filter(|(_, membership)| *membership == Membership::Join);
        joined.extend(here.map(|(user_id, _)| user_id));
    }
    (moves, joined)
}

fn write_list(name: &str, users: &BTreeSet<OwnedUserId>, out: &mut String) {
    let mut list = String::new();
    for user_id in users {
        if !list.is_empty() {
            list.push(',');
        }
        write_string(&mut list, user_id.as_str());
    }
    if list.is_empty() {
        return;
    }
    if !out.is_empty() {
        out.push(',');
    }
    out.push_str(&format!("\"{name}\":[{list}]"));
}
