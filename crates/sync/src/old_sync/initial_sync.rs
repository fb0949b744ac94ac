//! `GET /initialSync`: how everything stands.

use std::collections::{HashMap, HashSet};

use myelin_events::{canonical::write_string, filter::EventFilter};
use myelin_model::{Actor, Membership, RoomNid};
use myelin_storage::{MembershipRow, StorageError};
use ruma::RoomId;

use super::{
    List, form,
    snapshot::{Snapshot, wants, write_account_data},
};
use crate::{
    Sync, SyncToken,
    reader::{
        Reader, RoomRead,
        account_data::{self, AllAccountData},
        departed_rooms, load, sharers,
    },
    view::is_join,
};

/// The parameters of a request.
#[derive(Debug, Clone, Copy)]
pub struct InitialSyncRequest {
    /// The number of events of each room that it wants at most.
    pub limit: usize,
    /// It wants rooms that the user left.
    pub archived: bool,
    /// It wants events as servers exchange them.
    pub raw: bool,
}

/// The reason why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum InitialSyncError {
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// The rooms of an answer.
struct Rooms {
    reads: Vec<RoomRead>,
    /// The memberships now, in rooms that are read up to when the user left.
    left: HashMap<RoomNid, Membership>,
    invited: Vec<MembershipRow>,
    joined: Vec<RoomNid>,
}

/// The response's body.
#[tracing::instrument(name = "sync.initial_sync", skip_all, fields(user.id = %actor.user_id))]
pub async fn initial_sync(
    sync: &Sync,
    actor: &Actor,
    request: &InitialSyncRequest,
) -> Result<String, InitialSyncError> {
    let sample = sync.sample(&actor.user_id, None, true).await?;
    let ephemeral = sync.db().ephemeral().changed_since(0);
    let reader = Reader::at(sync, &actor.user_id, actor.device_id(), sample.upto).await?;
    let rooms = choose(&reader, request, &sample.rooms).await?;
    let reads = rooms.reads.iter().map(|room| room.room_nid);
    let nids: Vec<RoomNid> = reads.chain(rooms.invited.iter().map(|row| row.room_nid)).collect();
    let heads = sync.db().heads().find_many(&nids).await?;
    let reads: Vec<&RoomRead> = rooms
        .reads
        .iter()
        .filter(|room| heads.get(&room.room_nid).is_some_and(|head| reader.tells_of(&head.room_id)))
        .collect();
    let filter = EventFilter::default();
    let wants = wants(&filter);
    let loaded = load(&reader, &wants, &reads, &rooms.invited, heads).await?;
    let listed = sync.db().directory().list_listed(&nids).await?;
    let data = account_data::list(&reader).await?;
    let present = sharers(&reader, Some(&rooms.joined), &ephemeral.presence).await?;
    let token = SyncToken { pos: reader.upto, stamp: ephemeral.stamp, to_device: None };
    let form = form(request.raw);
    let snapshot = Snapshot { reader: &reader, wants: &wants, loaded: &loaded, form, token };

    let mut out = String::with_capacity(4_096);
    out.push('{');
    let mut list = List::begin("rooms", &mut out);
    for room in &reads {
        let membership = rooms.left.get(&room.room_nid).copied().or_else(|| room.membership());
        write_room(&snapshot, room, membership, &listed, &data, &mut list);
    }
    for row in &rooms.invited {
        write_invite(&snapshot, row, &listed, &mut list);
    }
    list.end();
    out.push(',');
    snapshot.write_presence(present, &mut out);
    out.push(',');
    snapshot.write_receipts(reads.iter().copied(), &mut out);
    out.push(',');
    write_account_data(Some(&data.global), &mut out);
    out.push_str(&format!(",\"end\":\"{token}\"}}"));
    Ok(out)
}

/// Choose the rooms that are told of. It takes at most one query, for rooms that the user left.
async fn choose(
    reader: &Reader<'_>,
    request: &InitialSyncRequest,
    rows: &[MembershipRow],
) -> Result<Rooms, StorageError> {
    let limit = request.limit.min(reader.sync.settings().timeline_events_max);
    let (mut reads, mut invited, mut left) = (Vec::new(), Vec::new(), Vec::new());
    for row in rows.iter().filter(|row| !row.forgotten && row.pos <= reader.upto) {
        match row.membership {
            Membership::Join => reads.push(RoomRead::whole(row, reader.upto, limit)),
            Membership::Invite => invited.push(*row),
            Membership::Leave | Membership::Ban if request.archived => left.push(*row),
            Membership::Leave | Membership::Ban | Membership::Knock => {}
        }
    }
    // Of rooms that the user never was in there is nothing to tell.
    reads.extend(departed_rooms(reader, &left, limit).await?);
    let left = left.into_iter().map(|row| (row.room_nid, row.membership)).collect();
    let joined = rows.iter().filter(|row| is_join(row)).map(|row| row.room_nid).collect();
    Ok(Rooms { reads, left, invited, joined })
}

/// Begin the object of a room.
fn begin_room(room_id: &RoomId, membership: Membership, is_listed: bool, out: &mut String) {
    out.push_str("{\"room_id\":");
    write_string(out, room_id.as_str());
    let visibility = if is_listed { "public" } else { "private" };
    let membership = membership.as_str();
    out.push_str(&format!(",\"membership\":\"{membership}\",\"visibility\":\"{visibility}\""));
}

fn write_room(
    snapshot: &Snapshot<'_>,
    room: &RoomRead,
    membership: Option<Membership>,
    listed: &HashSet<RoomNid>,
    data: &AllAccountData,
    list: &mut List<'_>,
) {
    let Some((room_id, _)) = snapshot.loaded.room(room.room_nid) else { return };
    let Some(membership) = membership else { return };
    let out = list.item();
    begin_room(room_id, membership, listed.contains(&room.room_nid), out);
    // What cannot be read is left out: the client still hears that the room is there.
    let _ = snapshot.write_history(room, out);
    out.push(',');
    write_account_data(data.by_room.get(&room.room_nid), out);
    out.push('}');
}

fn write_invite(
    snapshot: &Snapshot<'_>,
    row: &MembershipRow,
    listed: &HashSet<RoomNid>,
    list: &mut List<'_>,
) {
    let Some((room_id, version)) = snapshot.loaded.room(row.room_nid) else { return };
    let Some(own) = snapshot.loaded.events.get(&row.event_nid) else { return };
    if !snapshot.reader.takes_invite(own) || !snapshot.reader.tells_of(room_id) {
        return;
    }
    let out = list.item();
    begin_room(room_id, row.membership, listed.contains(&row.room_nid), out);
    out.push_str(",\"inviter\":");
    write_string(out, own.sender.as_str());
    out.push_str(",\"invite\":");
    let room = RoomRead::whole(row, row.pos, 0);
    let writer = snapshot.loaded.writer(snapshot.reader, snapshot.form, &room, version);
    writer.write(own, Some(Membership::Invite), out);
    out.push('}');
}
