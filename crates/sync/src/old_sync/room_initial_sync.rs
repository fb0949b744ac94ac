//! `GET /rooms/{roomId}/initialSync`: how a room stands, or stood when the user left it.

use std::{collections::HashMap, sync::Arc};

use myelin_events::{
    canonical::write_string, filter::EventFilter, pdu::content_of, visibility::HistoryVisibility,
};
use myelin_model::{Actor, Membership};
use myelin_storage::{RoomHead, StorageError};
use ruma::RoomId;

use super::{
    form,
    snapshot::{Snapshot, wants, write_account_data},
};
use crate::{
    Sync, SyncToken,
    reader::{OwnHistory, Reader, RoomRead, account_data, departed_rooms, load, present_members},
};

/// The reason why a room is not shown.
#[derive(Debug, thiserror::Error)]
pub enum RoomInitialSyncError {
    /// The user is not in the room, was not, and the room is not open to everybody. Rooms that do not exist look the same.
    #[error("You aren't a member of the room and weren't previously a member of the room.")]
    NotInRoom,
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// The response's body, with at most `limit` events.
#[tracing::instrument(
    name = "sync.room_initial_sync", skip_all, fields(user.id = %actor.user_id, room.id = %room_id)
)]
pub async fn room_initial_sync(
    sync: &Sync,
    actor: &Actor,
    room_id: &RoomId,
    limit: usize,
) -> Result<String, RoomInitialSyncError> {
    // The head comes last: when the room is closed meanwhile, nothing that is said after it is shown to strangers.
    let sample = sync.sample(&actor.user_id, None, false).await?;
    let ephemeral = sync.db().ephemeral().changed_since(0);
    let reader = Reader::at(sync, &actor.user_id, actor.device_id(), sample.upto).await?;
    let head = sync.db().heads().find(room_id).await?.ok_or(RoomInitialSyncError::NotInRoom)?;
    let limit = limit.min(sync.settings().timeline_events_max);
    let Opened { room, membership } = open(&reader, &head, limit).await?;
    let filter = EventFilter::default();
    let wants = wants(&filter);
    let room_nid = room.room_nid;
    let heads = HashMap::from([(room_nid, Arc::clone(&head))]);
    let loaded = load(&reader, &wants, &[&room], &[], heads).await?;
    // Who left hears no more of those who are there.
    let here = if room.leave_event().is_none() { &[room_nid][..] } else { &[] };
    let present = present_members(&reader, here).await?;
    let is_listed = sync.db().directory().list_listed(&[room_nid]).await?.contains(&room_nid);
    let data = account_data::list(&reader).await?;
    let token = SyncToken { pos: reader.upto, stamp: ephemeral.stamp, to_device: None };
    let form = form(false);
    let snapshot = Snapshot { reader: &reader, wants: &wants, loaded: &loaded, form, token };

    let mut out = String::from("{\"room_id\":");
    write_string(&mut out, room_id.as_str());
    let visibility = if is_listed { "public" } else { "private" };
    out.push_str(&format!(",\"visibility\":\"{visibility}\""));
    if let Some(membership) = membership {
        out.push_str(&format!(",\"membership\":\"{}\"", membership.as_str()));
    }
    snapshot.write_history(&room, &mut out).ok_or(RoomInitialSyncError::NotInRoom)?;
    out.push(',');
    snapshot.write_presence(present, &mut out);
    out.push(',');
    snapshot.write_receipts([&room], &mut out);
    out.push(',');
    write_account_data(data.by_room.get(&room_nid), &mut out);
    out.push('}');
    Ok(out)
}

/// The part of a room that a user may read.
struct Opened {
    room: RoomRead,
    /// The user's membership now, in a room that is not just looked into.
    membership: Option<Membership>,
}

/// Find the part of a room that the user may read: all of it, its history until the user left, or what everybody may
/// look into.
async fn open(
    reader: &Reader<'_>,
    head: &RoomHead,
    limit: usize,
) -> Result<Opened, RoomInitialSyncError> {
    let row = reader.sync.find_membership(reader.user_id, head.room_nid).await?;
    if let Some(row) = row {
        let membership = Some(row.membership);
        match row.membership {
            Membership::Join => {
                return Ok(Opened { room: RoomRead::whole(&row, reader.upto, limit), membership });
            }
            Membership::Leave | Membership::Ban if !row.forgotten => {
                let departed = departed_rooms(reader, &[row], limit).await?;
                if let Some(room) = departed.into_iter().next() {
                    return Ok(Opened { room, membership });
                }
            }
            Membership::Leave | Membership::Ban | Membership::Invite | Membership::Knock => {}
        }
    }
    if is_world_readable(reader, head).await? {
        let known = row.filter(|row| !row.forgotten).map(|row| row.membership);
        let room = RoomRead {
            own: known.map(OwnHistory::unchanged).unwrap_or_default(),
            ..RoomRead::peeked(head.room_nid, reader.upto, limit)
        };
        return Ok(Opened { room, membership: None });
    }
    Err(RoomInitialSyncError::NotInRoom)
}

/// Whether everybody may look into a room. It takes at most one query.
pub(super) async fn is_world_readable(
    reader: &Reader<'_>,
    head: &RoomHead,
) -> Result<bool, StorageError> {
    let Some(nid) = head.state.get(&reader.keys.history_visibility) else { return Ok(false) };
    let events = reader.sync.db().events().find_many(&[*nid]).await?;
    let content = events.get(nid).and_then(|event| content_of(&event.json));
    let visibility = content.map(HistoryVisibility::parse);
    Ok(visibility == Some(HistoryVisibility::WorldReadable))
}
