//! Which rooms belong into an answer, and as what.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use myelin_model::{EventNid, Membership, RoomNid, StreamPos};
use myelin_storage::{Change, LogEntry, MembershipRow};
use ruma::OwnedUserId;

use super::{
    Pass, SyncError,
    account_data::{self, AccountData},
    own::OwnHistory,
};
use crate::view::{News, Sample, is_join};

/// A room that is told of as joined or left.
pub(super) struct RoomTask {
    /// What the user is in it.
    pub(super) row: MembershipRow,
    /// What happened after it, the user does not see: the node's position, or that of the leave event.
    pub(super) end: StreamPos,
    /// Events after it are told. `None`: the newest events, however old.
    pub(super) since: Option<StreamPos>,
    /// All of the state is told.
    pub(super) full: bool,
    /// The user joined since the client last heard.
    pub(super) newly_joined: bool,
    /// The user was never in the room: nothing is told but the own member event.
    pub(super) bare: bool,
    /// What happened since, as far as it was in memory or in the log's table.
    pub(super) entries: Vec<Arc<LogEntry>>,
    /// `entries` has all events; else they must be read.
    pub(super) has_events: bool,
    pub(super) own: OwnHistory,
    pub(super) account_data: Vec<AccountData>,
    /// Who types changed.
    pub(super) typing: bool,
}

impl RoomTask {
    pub(super) fn is_joined(&self) -> bool {
        is_join(&self.row)
    }
}

/// What an answer will tell.
#[derive(Default)]
pub(super) struct Plan {
    pub(super) rooms: Vec<RoomTask>,
    pub(super) invited: Vec<MembershipRow>,
    pub(super) knocked: Vec<MembershipRow>,
    pub(super) global_account_data: Vec<AccountData>,
    /// Changes of rooms' account data, until they are given to the rooms.
    pub(super) room_account_data: Vec<(RoomNid, AccountData)>,
    /// Whose devices changed, whoever they are.
    pub(super) device_lists: Vec<OwnedUserId>,
    /// All rooms that the user is joined to, when everything is told.
    pub(super) joined: Option<Vec<RoomNid>>,
}

/// Plan an answer.
pub(super) async fn plan(pass: &Pass<'_>, sample: &mut Sample) -> Result<Plan, SyncError> {
    let mut plan = match pass.since {
        None => initial(pass, &sample.rooms).await?,
        Some(since) => {
            let news = match sample.news.take() {
                Some(news) => Read { news, has_events: true, chain: None },
                None => read_news(pass, since.pos, &sample.rooms).await?,
            };
            incremental(pass, since.pos, news, &sample.rooms).await?
        }
    };
    if pass.tells_all() {
        plan.joined =
            Some(sample.rooms.iter().filter(|row| is_join(row)).map(|row| row.room_nid).collect());
    }
    add_typing(pass, &mut plan);
    account_data::fill(pass, &mut plan).await?;
    Ok(plan)
}

/// Everything as it stands.
async fn initial(pass: &Pass<'_>, rows: &[MembershipRow]) -> Result<Plan, SyncError> {
    let mut plan = Plan::default();
    let mut left = Vec::new();
    for row in rows.iter().filter(|row| !row.forgotten && row.pos <= pass.upto) {
        match row.membership {
            Membership::Join => plan.rooms.push(whole(pass, row)),
            Membership::Invite => plan.invited.push(*row),
            Membership::Knock => plan.knocked.push(*row),
            Membership::Leave | Membership::Ban => left.push(*row),
        }
    }
    plan.rooms.extend(left_rooms(pass, left).await?);
    Ok(plan)
}

/// Who was kicked or banned hears of it; who left by oneself only when asking for it. At most two queries.
async fn left_rooms(pass: &Pass<'_>, rows: Vec<MembershipRow>) -> Result<Vec<RoomTask>, SyncError> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let db = pass.sync.db();
    let nids: Vec<EventNid> = rows.iter().map(|row| row.event_nid).collect();
    let events = db.events().find_many(&nids).await?;
    let told: Vec<_> = rows
        .iter()
        .filter_map(|row| Some((row, events.get(&row.event_nid)?)))
        .filter(|(_, event)| pass.filter().room.include_leave || event.sender != *pass.user_id())
        .collect();
    let nids: Vec<EventNid> = told.iter().filter_map(|(_, event)| event.replaces).collect();
    let before = db.events().find_many(&nids).await?;
    let tasks = told.into_iter().map(|(row, event)| {
        let before = event.replaces.and_then(|nid| before.get(&nid));
        let at_start = before.and_then(|event| event.membership);
        RoomTask {
            end: row.pos,
            // What the member event took the place of tells whether the user was in the room.
            bare: at_start != Some(Membership::Join),
            own: OwnHistory { at_start, changes: vec![row.membership] },
            ..whole(pass, row)
        }
    });
    Ok(tasks.collect())
}

/// A room told from scratch.
fn whole(pass: &Pass<'_>, row: &MembershipRow) -> RoomTask {
    RoomTask {
        row: *row,
        end: pass.upto,
        since: None,
        full: true,
        newly_joined: false,
        bare: false,
        entries: Vec::new(),
        has_events: false,
        own: OwnHistory { at_start: Some(row.membership), changes: Vec::new() },
        account_data: Vec::new(),
        typing: true,
    }
}

/// What happened, from memory or from the database.
struct Read {
    news: News,
    has_events: bool,
    /// Own membership changes by room, where they were read.
    chain: Option<HashMap<RoomNid, OwnHistory>>,
}

/// Read from the database what happened to a user who was away for long.
async fn read_news(
    pass: &Pass<'_>,
    since: StreamPos,
    rows: &[MembershipRow],
) -> Result<Read, SyncError> {
    let reads = pass.sync.db().sync_reads();
    let joined: Vec<RoomNid> =
        rows.iter().filter(|row| is_join(row)).map(|row| row.room_nid).collect();
    let moved: Vec<EventNid> =
        rows.iter().filter(|row| row.pos > since).map(|row| row.event_nid).collect();
    let mut chain: HashMap<RoomNid, OwnHistory> = HashMap::new();
    if !moved.is_empty() {
        for row in reads.list_member_chain(&moved, since).await? {
            let history = chain.entry(row.room_nid).or_default();
            if row.pos > since {
                history.changes.insert(0, row.membership);
            } else {
                history.at_start = Some(row.membership);
            }
        }
    }
    let (entries, changed) = reads.list_news(pass.user_id(), &joined, since, pass.upto).await?;
    let mut changed: HashSet<RoomNid> = changed.into_iter().collect();
    let mut by_room: HashMap<RoomNid, Vec<Arc<LogEntry>>> = HashMap::new();
    let (mut own, mut device_lists) = (Vec::new(), Vec::new());
    for entry in entries {
        match &entry.change {
            Change::Receipt { room_nid, .. } | Change::StateReset { room_nid, .. } => {
                changed.insert(*room_nid);
                by_room.entry(*room_nid).or_default().push(entry);
            }
            Change::DeviceList { user_id } => device_lists.push(user_id.clone()),
            _ => own.push(entry),
        }
    }
    let rooms = rows
        .iter()
        .filter(|row| row.pos > since || changed.contains(&row.room_nid) && is_join(row))
        .map(|row| (*row, by_room.remove(&row.room_nid).unwrap_or_default()))
        .collect();
    Ok(Read { news: News { own, rooms, device_lists }, has_events: false, chain: Some(chain) })
}

/// What changed.
async fn incremental(
    pass: &Pass<'_>,
    since: StreamPos,
    mut read: Read,
    rows: &[MembershipRow],
) -> Result<Plan, SyncError> {
    let device_lists = std::mem::take(&mut read.news.device_lists);
    let mut plan = Plan { device_lists, ..Plan::default() };
    let mut histories = match read.chain {
        Some(chain) => chain,
        None => histories(pass, &read.news).await?,
    };
    for entry in &read.news.own {
        account_data::take_up(&entry.change, &mut plan);
    }
    for (row, entries) in read.news.rooms {
        // Who left and forgot at once: the user's other devices must still hear of the leave.
        if row.forgotten && row.pos <= since {
            continue;
        }
        let own = histories
            .remove(&row.room_nid)
            .unwrap_or(OwnHistory { at_start: Some(row.membership), changes: Vec::new() });
        let moved = row.pos > since;
        match row.membership {
            Membership::Join => {}
            Membership::Leave | Membership::Ban if moved => {}
            Membership::Invite if moved => plan.invited.push(row),
            Membership::Knock if moved => plan.knocked.push(row),
            Membership::Leave | Membership::Ban | Membership::Invite | Membership::Knock => {}
        }
        let joined = row.membership == Membership::Join;
        let left = moved && matches!(row.membership, Membership::Leave | Membership::Ban);
        if joined || left {
            let newly_joined = own.is_newly_joined();
            // Who joined and left since has nothing of the room.
            let full =
                newly_joined || pass.request.full_state || left && !own.was_joined_at_start();
            plan.rooms.push(RoomTask {
                row,
                end: if left { row.pos } else { pass.upto },
                since: (!newly_joined).then_some(since),
                full,
                newly_joined,
                bare: left && !own.was_ever_joined(),
                has_events: read.has_events && !newly_joined,
                entries,
                own,
                account_data: Vec::new(),
                typing: full,
            });
        }
    }
    if pass.request.full_state {
        let known: HashSet<RoomNid> = plan.rooms.iter().map(|task| task.row.room_nid).collect();
        for row in rows.iter().filter(|row| is_join(row) && !known.contains(&row.room_nid)) {
            let mut task = whole(pass, row);
            (task.since, task.has_events) = (Some(since), true);
            plan.rooms.push(task);
        }
    }
    Ok(plan)
}

/// How the user's memberships went, from the events in memory.
async fn histories(
    pass: &Pass<'_>,
    news: &News,
) -> Result<HashMap<RoomNid, OwnHistory>, SyncError> {
    let mut histories: HashMap<RoomNid, OwnHistory> = HashMap::new();
    let mut before: HashMap<RoomNid, Option<EventNid>> = HashMap::new();
    for entry in &news.own {
        if let Change::Event(event) = &entry.change
            && let Some(membership) = event.membership
        {
            before.entry(event.room_nid).or_insert(event.replaces);
            histories.entry(event.room_nid).or_default().changes.push(membership);
        }
    }
    let nids: Vec<EventNid> = before.values().flatten().copied().collect();
    if nids.is_empty() {
        return Ok(histories);
    }
    let events = pass.sync.db().events().find_many(&nids).await?;
    for (room_nid, history) in &mut histories {
        let event = before.get(room_nid).copied().flatten().and_then(|nid| events.get(&nid));
        history.at_start = event.and_then(|event| event.membership);
    }
    Ok(histories)
}

/// Rooms in which who types changed belong into the answer too.
fn add_typing(pass: &Pass<'_>, plan: &mut Plan) {
    let Some(since) = pass.since else { return };
    for room_nid in &pass.ephemeral.typing {
        if let Some(task) = plan.rooms.iter_mut().find(|task| task.row.room_nid == *room_nid) {
            task.typing = true;
        } else if let Some(row) = joined_row(pass, *room_nid) {
            plan.rooms.push(RoomTask {
                since: Some(since.pos),
                full: false,
                has_events: true,
                ..whole(pass, &row)
            });
        }
    }
}

/// The user's membership in a room, if the user is joined to it.
pub(super) fn joined_row(pass: &Pass<'_>, room_nid: RoomNid) -> Option<MembershipRow> {
    pass.sync.view().find_membership(pass.user_id(), room_nid).filter(is_join)
}

/// A joined room of which only account data changed.
pub(super) fn quiet(pass: &Pass<'_>, row: &MembershipRow) -> RoomTask {
    RoomTask {
        since: pass.since.map(|since| since.pos),
        full: false,
        has_events: true,
        typing: false,
        ..whole(pass, row)
    }
}
