//! The rooms that belong into an answer, and the part of each.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use myelin_model::{Event, Membership, RoomNid, StreamPos};
use myelin_storage::{Change, MembershipRow, RoomHead, StorageError};
use ruma::OwnedUserId;

use super::{Pass, account_data};
use crate::{
    reader::{
        RoomRead,
        account_data::{AccountData, Entry},
        changes::{self, Changes},
        left_rooms,
    },
    view::{Sample, is_join},
};

/// A room that is told of as joined or left.
pub(super) struct RoomTask {
    /// The part of it that is read.
    pub(super) read: RoomRead,
    pub(super) account_data: AccountData,
    /// The users who type are told.
    pub(super) typing: bool,
}

impl RoomTask {
    /// A room told from scratch.
    fn whole(pass: &Pass<'_>, row: &MembershipRow) -> Self {
        let read = RoomRead::whole(row, pass.reader.upto, pass.timeline_limit());
        Self { read, account_data: Vec::new(), typing: true }
    }

    /// A joined room of which only account data changed.
    pub(super) fn quiet(pass: &Pass<'_>, row: &MembershipRow) -> Self {
        let since = pass.since.map_or(StreamPos::ZERO, |since| since.pos);
        let read = RoomRead::quiet(row, since, pass.reader.upto);
        Self { read, account_data: Vec::new(), typing: false }
    }
}

/// The contents of an answer, before anything is read for it.
#[derive(Default)]
pub(super) struct Plan {
    pub(super) rooms: Vec<RoomTask>,
    pub(super) invited: Vec<MembershipRow>,
    pub(super) knocked: Vec<MembershipRow>,
    pub(super) global_account_data: AccountData,
    /// Changes of rooms' account data, until they are given to the rooms.
    pub(super) room_account_data: Vec<(RoomNid, Entry)>,
    /// The users whose devices changed, whoever they are.
    pub(super) device_lists: Vec<OwnedUserId>,
    /// The users whose keys the user signed.
    pub(super) signed: BTreeSet<OwnedUserId>,
    /// All rooms that the user is joined to, when everything is told.
    pub(super) joined: Option<Vec<RoomNid>>,
}

impl Plan {
    /// The heads of all rooms. It takes at most two queries, for those that are not in memory.
    pub(super) async fn heads(
        &self,
        pass: &Pass<'_>,
    ) -> Result<HashMap<RoomNid, Arc<RoomHead>>, StorageError> {
        let rooms = self.rooms.iter().map(|task| task.read.room_nid);
        let outside = self.invited.iter().chain(&self.knocked).map(|row| row.room_nid);
        let nids: Vec<RoomNid> = rooms.chain(outside).collect();
        pass.reader.sync.db().heads().find_many(&nids).await
    }
}

/// Plan an answer.
pub(super) async fn plan(pass: &Pass<'_>, sample: &mut Sample) -> Result<Plan, StorageError> {
    let mut plan = match pass.since {
        None => initial(pass, &sample.rooms).await?,
        Some(since) => {
            let changes = changes::since(&pass.reader, since.pos, sample).await?;
            incremental(pass, since.pos, changes, &sample.rooms)
        }
    };
    if pass.tells_all() {
        plan.joined =
            Some(sample.rooms.iter().filter(|row| is_join(row)).map(|row| row.room_nid).collect());
    }
    add_typing(pass, &mut plan).await?;
    account_data::fill(pass, &mut plan).await?;
    Ok(plan)
}

/// Plan an answer that tells everything as it stands.
async fn initial(pass: &Pass<'_>, rows: &[MembershipRow]) -> Result<Plan, StorageError> {
    let mut plan = Plan::default();
    let mut left = Vec::new();
    for row in rows.iter().filter(|row| !row.forgotten && row.pos <= pass.reader.upto) {
        match row.membership {
            Membership::Join => plan.rooms.push(RoomTask::whole(pass, row)),
            Membership::Invite => plan.invited.push(*row),
            Membership::Knock => plan.knocked.push(*row),
            Membership::Leave | Membership::Ban => left.push(*row),
        }
    }
    // Who was kicked or banned hears of it; who left by oneself only when asking for it.
    let is_told =
        |event: &Event| pass.filter().room.include_leave || event.sender != *pass.reader.user_id;
    let left = left_rooms(&pass.reader, &left, pass.timeline_limit(), is_told).await?;
    let task = |read| RoomTask { read, account_data: Vec::new(), typing: true };
    plan.rooms.extend(left.into_iter().map(task));
    Ok(plan)
}

/// Plan an answer that tells what changed.
fn incremental(
    pass: &Pass<'_>,
    since: StreamPos,
    changes: Changes,
    rows: &[MembershipRow],
) -> Plan {
    let mut plan = Plan { device_lists: changes.device_lists, ..Plan::default() };
    for entry in &changes.own {
        account_data::take_up(&entry.change, &mut plan);
        if let Change::Signatures { signed, .. } = &entry.change {
            plan.signed.extend(signed.iter().cloned());
        }
    }
    for room in changes.rooms {
        let row = room.row;
        // Who left and forgot at once: the user's other devices must still hear of the leave.
        if row.forgotten && !room.is_moved(since) {
            continue;
        }
        match row.membership {
            Membership::Invite if room.is_moved(since) => plan.invited.push(row),
            Membership::Knock if room.is_moved(since) => plan.knocked.push(row),
            Membership::Invite | Membership::Knock => {}
            Membership::Join | Membership::Leave | Membership::Ban => {}
        }
        let room = room.leave_before().unwrap_or(room);
        if let Some(mut read) = room.into_read(since, pass.reader.upto, pass.timeline_limit()) {
            read.full |= pass.request.full_state;
            let typing = read.full;
            plan.rooms.push(RoomTask { read, account_data: Vec::new(), typing });
        }
    }
    if pass.request.full_state {
        let known: std::collections::HashSet<RoomNid> =
            plan.rooms.iter().map(|task| task.read.room_nid).collect();
        for row in rows.iter().filter(|row| is_join(row) && !known.contains(&row.room_nid)) {
            let mut task = RoomTask::whole(pass, row);
            (task.read.since, task.read.has_events) = (Some(since), true);
            plan.rooms.push(task);
        }
    }
    plan
}

/// Rooms in which who types changed belong into the answer too. It takes at most one query, mostly none.
async fn add_typing(pass: &Pass<'_>, plan: &mut Plan) -> Result<(), StorageError> {
    if pass.since.is_none() {
        return Ok(());
    }
    for room_nid in &pass.ephemeral.typing {
        let known = plan.rooms.iter_mut().find(|task| task.read.room_nid == *room_nid);
        if let Some(task) = known {
            task.typing = true;
        } else if let Some(row) = pass.reader.joined_row(*room_nid).await? {
            plan.rooms.push(RoomTask { typing: true, ..RoomTask::quiet(pass, &row) });
        }
    }
    Ok(())
}
