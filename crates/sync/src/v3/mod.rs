//! `GET /_matrix/client/v3/sync`: what happened since a client last heard, or how everything stands.
//!
//! [`sync`] takes a sample of the user's view, `plan` finds the rooms that belong into the answer, the reader loads what is not in
//! memory for all of them together, and `room` writes each of them. An answer that says nothing waits for the user's wake-up.

mod account_data;
mod device_lists;
mod ephemeral;
mod key_changes;
mod key_counts;
mod plan;
mod presence;
mod room;
mod state;
mod to_device;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use myelin_model::{Actor, StreamPos};
use myelin_storage::{EphemeralChanges, PresenceState, StorageError};
use ruma::{DeviceId, RoomId, UserId};

use self::plan::Plan;
pub use self::{device_lists::DeviceLists, key_changes::key_changes};
use crate::{
    Sync, SyncToken,
    filter::Filter,
    reader::{Loaded, Reader, RoomRead, ToDeviceMessages, Wants, load, take_to_device},
    sent_members::DeviceMembers,
    view::Sample,
};

/// The number of events that a timeline has where the client does not say.
const TIMELINE_EVENTS_DEFAULT: usize = 10;

/// The parameters of a request.
#[derive(Debug, Clone)]
pub struct SyncRequest {
    /// The filter of what the client wants.
    pub filter: Arc<Filter>,
    /// The token up to which it has heard. `None`: it wants everything.
    pub since: Option<SyncToken>,
    /// It wants all state of all rooms, whatever it has heard.
    pub full_state: bool,
    /// The time for which it waits for news.
    pub timeout: Duration,
    /// The presence that its user has while it waits.
    pub set_presence: PresenceState,
    /// It wants the state at the end of the timeline, under this name (`state_after`), not that at its start.
    pub state_after: Option<&'static str>,
}

/// The reason why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// One look at the user's rooms: what is read, and what the client asks for.
struct Pass<'a> {
    reader: Reader<'a>,
    request: &'a SyncRequest,
    /// The token up to which the client has heard. `None`: everything is told.
    since: Option<SyncToken>,
    /// The changes of typing and presence since then. They have no positions.
    ephemeral: EphemeralChanges,
    /// The members that the device was told of.
    members: DeviceMembers,
    /// The messages that wait for the device.
    to_device: ToDeviceMessages,
}

impl<'a> Pass<'a> {
    async fn new(
        sync: &'a Sync,
        user_id: &'a UserId,
        device_id: Option<&'a DeviceId>,
        request: &'a SyncRequest,
        since: Option<SyncToken>,
        upto: StreamPos,
    ) -> Result<Self, StorageError> {
        // A position that this node has not reached yet is not taken back.
        let upto = upto.max(since.map_or(StreamPos::ZERO, |since| since.pos));
        let stamp = since.map_or(0, |since| since.stamp);
        let reader = Reader::at(sync, user_id, device_id, upto).await?;
        let to_device = take_to_device(&reader, to_device::received(since)).await?;
        Ok(Self {
            reader,
            to_device,
            request,
            since,
            ephemeral: sync.db().ephemeral().changed_since(stamp),
            members: sync.sent_members().at(user_id, device_id, since),
        })
    }
}

impl Pass<'_> {
    fn filter(&self) -> &Filter {
        &self.request.filter
    }

    /// Whether the client hears of a room at all.
    fn allows_room(&self, room_id: &RoomId) -> bool {
        self.filter().allows_room(room_id) && self.reader.tells_of(room_id)
    }

    /// The number of events that a timeline has at most, as the client and the server want it.
    fn timeline_limit(&self) -> usize {
        let wanted = self.filter().room.timeline.limit.unwrap_or(TIMELINE_EVENTS_DEFAULT);
        wanted.min(self.reader.sync.settings().timeline_events_max)
    }

    /// The wishes that are the same for all rooms.
    fn wants(&self) -> Wants<'_> {
        let timeline = &self.filter().room.timeline;
        let few_members = self.filter().lazy_load_members();
        let state_first = self.request.state_after.is_none();
        Wants { timeline, few_members, counts: true, relations: true, state_first }
    }

    /// The token of the answer.
    fn token(&self) -> SyncToken {
        SyncToken {
            pos: self.reader.upto,
            stamp: self.ephemeral.stamp,
            to_device: self.to_device.more_after,
        }
    }

    /// Whether everything is told, not only what changed.
    fn tells_all(&self) -> bool {
        self.since.is_none() || self.request.full_state
    }
}

/// An answer, up to its token.
struct Answer {
    json: String,
    says_nothing: bool,
}

impl Answer {
    fn finish(mut self, token: SyncToken) -> String {
        self.json.push_str(&format!(",\"next_batch\":\"{token}\"}}"));
        self.json
    }
}

/// Answer a client, when there is something to say or its time is over: the response's body.
#[tracing::instrument(name = "sync.v3", skip_all, fields(user.id = %session.user_id))]
pub async fn sync(
    sync: &Sync,
    session: &Actor,
    request: &SyncRequest,
) -> Result<String, SyncError> {
    let ephemeral = sync.db().ephemeral();
    let _syncing = ephemeral.begin_syncing(&session.user_id, request.set_presence);
    let mut since = match request.since {
        Some(since) => Some(sync.reach(since).await?),
        None => None,
    };
    let timeout = request.timeout.min(Duration::from_millis(sync.settings().wait_millis_max));
    let deadline = tokio::time::Instant::now() + timeout;
    let mut answers_at_once = since.is_none() || request.full_state || timeout.is_zero();
    loop {
        let started = Instant::now();
        let all_rooms = since.is_none() || request.full_state;
        let mut sample =
            sync.sample(&session.user_id, since.map(|since| since.pos), all_rooms).await?;
        let (user_id, device_id) = (&*session.user_id, session.device_id());
        let pass = Pass::new(sync, user_id, device_id, request, since, sample.upto).await?;
        let answer = answer(&pass, &mut sample).await?;
        let kind = if since.is_none() { "initial" } else { "incremental" };
        metrics::histogram!("myelin_sync_build_seconds", "kind" => kind)
            .record(started.elapsed().as_secs_f64());
        if answers_at_once || !answer.says_nothing {
            return Ok(answer.finish(pass.token()));
        }
        tokio::select! {
            // Also when the user was let go from memory: then there may be news.
            _ = sample.wake.changed() => {}
            // Whose time is over looks once more: the answer carries the client past what others said meanwhile.
            () = tokio::time::sleep_until(deadline) => answers_at_once = true,
            () = sync.stop().cancelled() => answers_at_once = true,
        }
        since = Some(pass.token());
    }
}

/// Look at everything once.
async fn answer(pass: &Pass<'_>, sample: &mut Sample) -> Result<Answer, SyncError> {
    let (plan, loaded) = read(pass, sample).await?;
    let mut json = String::with_capacity(4_096);
    json.push('{');
    key_counts::write(pass, &mut json).await?;
    let start = json.len();
    account_data::write_global(pass, &plan, &mut json);
    presence::write(pass, &plan, &loaded, &mut json).await?;
    to_device::write(pass, &mut json);
    device_lists::write(&device_lists::find(pass, &plan, &loaded).await?, &mut json);
    room::write_all(pass, &plan, &loaded, &mut json);
    let says_nothing = json.len() == start;
    Ok(Answer { json, says_nothing })
}

/// Plan an answer, and read what it needs.
async fn read(pass: &Pass<'_>, sample: &mut Sample) -> Result<(Plan, Loaded), StorageError> {
    let plan = plan::plan(pass, sample).await?;
    let heads = plan.heads(pass).await?;
    let is_allowed = |room: &&RoomRead| {
        heads.get(&room.room_nid).is_some_and(|head| pass.allows_room(&head.room_id))
    };
    let rooms: Vec<&RoomRead> =
        plan.rooms.iter().map(|task| &task.read).filter(is_allowed).collect();
    let outside = [&*plan.invited, &*plan.knocked].concat();
    let loaded = load(&pass.reader, &pass.wants(), &rooms, &outside, heads).await?;
    Ok((plan, loaded))
}
