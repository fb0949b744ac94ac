//! `GET /events`: what happened since, one thing after the other, in all of the user's rooms or in one.

use std::time::Duration;

use myelin_model::{Actor, StreamPos};
use myelin_storage::{PresenceState, StorageError};
use ruma::{OwnedRoomId, RoomId};
use tokio::{sync::watch, time::Instant};

use super::{
    EVENTS_DEFAULT,
    chunk::{self, Bounds, Chunk, Scope},
    form,
    room_initial_sync::is_world_readable,
};
use crate::{Sync, SyncToken, reader::Reader, view::Sample};

/// The number of events that an answer has at most, whatever is asked for.
const EVENTS_MAX: usize = 1_000;

/// The factor by which more events are looked at than are told, as the user may not see all of them; and by which more are looked
/// at after a look that found nothing.
const LOOK_FACTOR: usize = 10;
/// The least number of events that are looked at in one go.
const LOOK_EVENTS_MIN: usize = 100;
/// The greatest number of events that are looked at in one go.
const LOOK_EVENTS_MAX: usize = 1_000;
/// The number of events that are looked at for one answer, though the user sees none of them. The answer leads past them.
const EVENTS_LOOKED_AT_MAX: usize = 2_000;

/// The parameters of a request.
#[derive(Debug, Clone)]
pub struct EventsRequest {
    /// The token up to which the client has heard. `None`: it wants to hear what comes next.
    pub from: Option<SyncToken>,
    /// The only room whose changes are told. The user is in it, or everybody may look into it. `None`: all rooms of the
    /// user.
    pub room_id: Option<OwnedRoomId>,
    /// The number of room events that it wants at most; zero for the default. The others come with the next request.
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
    /// Guests hear of one room at a time.
    #[error("Guest users must specify room_id param")]
    GuestWithoutRoom,
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Answer a client, when there is something to say, its time is over, or enough was looked at for one answer: the response's
/// body.
#[tracing::instrument(name = "sync.events", skip_all, fields(user.id = %actor.user_id))]
pub async fn events(
    sync: &Sync,
    actor: &Actor,
    request: &EventsRequest,
) -> Result<String, EventsError> {
    if actor.is_guest && request.room_id.is_none() {
        return Err(EventsError::GuestWithoutRoom);
    }
    let ephemeral = sync.db().ephemeral();
    let _syncing = ephemeral.begin_syncing(&actor.user_id, request.set_presence);
    let timeout = request.timeout.min(Duration::from_millis(sync.settings().wait_millis_max));
    let deadline = Instant::now() + timeout;
    let start = match request.from {
        Some(from) => sync.reach(from).await?,
        None => {
            let upto = sync.sample(&actor.user_id, None, false).await?.upto;
            SyncToken { pos: upto, stamp: ephemeral.stamp_now(), to_device: None }
        }
    };
    let mut from = start;
    let mut effort = Effort::new(request.limit);
    let mut is_first = true;
    loop {
        let mut peeked = watch_peeked(sync, request.room_id.as_deref()).await?;
        let mut sample = sync.sample(&actor.user_id, Some(from.pos), false).await?;
        let upto = sample.upto.max(from.pos);
        let reader = Reader::at(sync, &actor.user_id, actor.device_id(), upto).await?;
        let chunk = look(&reader, request, from, &mut sample, effort.bounds(), is_first).await?;
        let is_behind = chunk.end.pos < upto;
        (from, is_first) = (chunk.end, false);
        let is_over = Instant::now() >= deadline || sync.stop().is_cancelled();
        if !chunk.json.is_empty() || is_over || is_behind && !effort.goes_on() {
            return Ok(answer(start, &chunk));
        }
        if is_behind {
            continue;
        }
        effort = Effort::new(request.limit);
        tokio::select! {
            _ = sample.wake.changed() => {}
            () = changed(peeked.as_mut()) => {}
            () = tokio::time::sleep_until(deadline) => return Ok(answer(start, &chunk)),
            () = sync.stop().cancelled() => return Ok(answer(start, &chunk)),
        }
    }
}

/// The events that a request looks at before it answers, or waits again.
struct Effort {
    bounds: Bounds,
    left: usize,
}

impl Effort {
    fn new(limit: usize) -> Self {
        let told = if limit == 0 { EVENTS_DEFAULT } else { limit.min(EVENTS_MAX) };
        let looked_at = told.saturating_mul(LOOK_FACTOR).clamp(LOOK_EVENTS_MIN, LOOK_EVENTS_MAX);
        Self { bounds: Bounds { told, looked_at }, left: EVENTS_LOOKED_AT_MAX }
    }

    fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// Look at more the next time, as nothing was there to tell. `false` if it was enough for one answer.
    fn goes_on(&mut self) -> bool {
        let Bounds { looked_at, .. } = self.bounds;
        self.left = self.left.saturating_sub(looked_at);
        let next = looked_at.saturating_mul(LOOK_FACTOR).min(LOOK_EVENTS_MAX);
        self.bounds.looked_at = next.min(self.left);
        self.left > 0
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
) -> Result<Option<watch::Receiver<StreamPos>>, EventsError> {
    let Some(room_id) = room_id else { return Ok(None) };
    let head = sync.db().heads().find(room_id).await?.ok_or(EventsError::NotInRoom)?;
    Ok(Some(sync.view().watch_room(head.room_nid)))
}

/// Look once at what happened. A room that is asked for must be open at the first look; one that is closed later is told of up to
/// its last visible event.
async fn look(
    reader: &Reader<'_>,
    request: &EventsRequest,
    from: SyncToken,
    sample: &mut Sample,
    bounds: Bounds,
    is_first: bool,
) -> Result<Chunk, EventsError> {
    let form = form(request.raw);
    let Some(room_id) = &request.room_id else {
        return Ok(chunk::read(reader, from, Scope::All(sample), bounds, form).await?);
    };
    let head = reader.sync.db().heads().find(room_id).await?;
    let head = head.filter(|head| reader.tells_of(&head.room_id));
    let head = head.ok_or(EventsError::NotInRoom)?;
    let room_nid = head.room_nid;
    let is_member = reader.joined_row(room_nid).await?.is_some();
    let is_open = is_member || is_world_readable(reader, &head).await?;
    if is_first && !is_open {
        return Err(EventsError::NotInRoom);
    }
    let scope = Scope::Room { room_nid, is_open };
    let chunk = chunk::read(reader, from, scope, bounds, form).await?;
    if !is_open && chunk.json.is_empty() && chunk.end.pos >= reader.upto {
        return Err(EventsError::NotInRoom);
    }
    Ok(chunk)
}
