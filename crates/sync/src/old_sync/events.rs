//! `GET /events`: what happened since, one thing after the other, in all of the user's rooms or in one.

use std::time::Duration;

use myelin_storage::{PresenceState, StorageError};
use ruma::{DeviceId, OwnedRoomId, RoomId, UserId};
use tokio::{sync::watch, time::Instant};

use super::{
    chunk::{self, Chunk, Scope},
    form,
    room_initial_sync::is_world_readable,
};
use crate::{Sync, SyncToken, reader::Reader, view::Sample};

/// The parameters of a request.
#[derive(Debug, Clone)]
pub struct EventsRequest {
    /// The token up to which the client has heard. `None`: it wants to hear what comes next.
    pub from: Option<SyncToken>,
    /// The only room whose changes are told. The user is in it, or everybody may look into it. `None`: all rooms of the
    /// user.
    pub room_id: Option<OwnedRoomId>,
    /// The number of room events that it wants at most. The others come with the next request.
    pub limit: usize,
    /// The time for which it waits for news.
    pub timeout: Duration,
    /// The presence that its user has while it waits.
    pub set_presence: PresenceState,
    /// It wants events as servers exchange them.
    pub raw: bool,
}

/// The reason why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum EventsError {
    /// The user is not in the room, and the room is not open to everybody.
    #[error("Non-joined access not allowed")]
    NotInRoom,
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Answer a client, when there is something to say or its time is over: the response's body.
#[tracing::instrument(name = "sync.events", skip_all, fields(user.id = %user_id))]
pub async fn events(
    sync: &Sync,
    user_id: &UserId,
    device_id: Option<&DeviceId>,
    request: &EventsRequest,
) -> Result<String, EventsError> {
    let ephemeral = sync.db().ephemeral();
    let _syncing = ephemeral.begin_syncing(user_id, request.set_presence);
    let timeout = request.timeout.min(Duration::from_millis(sync.settings().wait_millis_max));
    let deadline = Instant::now() + timeout;
    let start = match request.from {
        Some(from) => sync.reach(from).await?,
        None => {
            let upto = sync.sample(user_id, None, false).await?.upto;
            SyncToken { pos: upto, stamp: ephemeral.stamp_now() }
        }
    };
    let mut from = start;
    loop {
        let mut peeked = watch_peeked(sync, request.room_id.as_deref()).await?;
        let mut sample = sync.sample(user_id, Some(from.pos), false).await?;
        let upto = sample.upto.max(from.pos);
        let reader = Reader::at(sync, user_id, device_id, upto).await?;
        let chunk = look(&reader, request, from, &mut sample).await?;
        let is_behind = chunk.end.pos < upto;
        from = chunk.end;
        if !chunk.json.is_empty() || timeout.is_zero() && !is_behind {
            return Ok(answer(start, &chunk));
        }
        if is_behind {
            continue;
        }
        let changed = tokio::select! {
            _ = sample.wake.changed() => true,
            () = changed(peeked.as_mut()) => true,
            () = tokio::time::sleep_until(deadline) => false,
            () = sync.stop().cancelled() => false,
        };
        if !changed {
            return Ok(answer(start, &chunk));
        }
    }
}

fn answer(start: SyncToken, Chunk { json, end }: &Chunk) -> String {
    format!("{{\"chunk\":[{json}],\"start\":\"{start}\",\"end\":\"{end}\"}}")
}

/// Wait for a change, if there is something to watch.
async fn changed<T>(watch: Option<&mut watch::Receiver<T>>) {
    match watch {
        Some(watch) => drop(watch.changed().await),
        None => std::future::pending().await,
    }
}

/// A wake-up for what happens in the room that is asked for: the user's own tells only of rooms that the user is in.
async fn watch_peeked(
    sync: &Sync,
    room_id: Option<&RoomId>,
) -> Result<Option<watch::Receiver<myelin_model::StreamPos>>, EventsError> {
    let Some(room_id) = room_id else { return Ok(None) };
    let head = sync.db().heads().find(room_id).await?.ok_or(EventsError::NotInRoom)?;
    Ok(Some(sync.view().watch_room(head.room_nid)))
}

/// Look once at what happened.
async fn look(
    reader: &Reader<'_>,
    request: &EventsRequest,
    from: SyncToken,
    sample: &mut Sample,
) -> Result<Chunk, EventsError> {
    let scope = match &request.room_id {
        None => Scope::All(sample),
        Some(room_id) => {
            let head = reader.sync.db().heads().find(room_id).await?;
            let head = head.filter(|head| reader.tells_of(&head.room_id));
            let head = head.ok_or(EventsError::NotInRoom)?;
            let is_member = reader.joined_row(head.room_nid).is_some();
            if !is_member && !is_world_readable(reader, &head).await? {
                return Err(EventsError::NotInRoom);
            }
            Scope::Room(head.room_nid)
        }
    };
    let limit = request.limit.clamp(1, reader.sync.settings().timeline_events_max);
    Ok(chunk::read(reader, from, scope, limit, form(request.raw)).await?)
}
