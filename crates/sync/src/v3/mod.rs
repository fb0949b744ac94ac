//! `GET /_matrix/client/v3/sync`: what happened since a client last heard, or how everything stands.
//!
//! [`sync`] takes a sample of the user's view, `plan` finds the rooms that belong into the answer, `load` gets what is not in memory
//! for all of them together, and `room` writes each of them. An answer that says nothing waits for the user's wake-up.

mod account_data;
mod device_lists;
mod ephemeral;
mod events;
mod load;
mod own;
mod plan;
mod presence;
mod receipts;
mod relations;
mod room;
mod sent_members;
mod state;
mod stripped;
mod summary;
mod timeline;

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use myelin_events::{RoomVersion, redact::prune};
use myelin_model::{DeviceSession, Event, StreamPos};
use myelin_storage::{AccountDataRow, EphemeralChanges, PresenceState, StorageError};
use ruma::{OwnedUserId, RoomId, UserId};

pub(crate) use self::sent_members::SentMembers;
use crate::{Sync, SyncToken, context::KnownKeys, filter::Filter, view::Personal};

/// How long to wait for a position that this node has not reached yet: the client heard of it from another node.
const CATCH_UP_MILLIS_MAX: u64 = 5_000;

/// What a client asks for.
#[derive(Debug, Clone)]
pub struct SyncRequest {
    /// What it wants.
    pub filter: Arc<Filter>,
    /// Up to where it has heard.
    pub since: Option<SyncToken>,
    /// It wants all state of all rooms, whatever it has heard.
    pub full_state: bool,
    /// How long it waits for news.
    pub timeout: Duration,
    /// Its user's presence.
    pub set_presence: PresenceState,
    /// It wants the state at the end of the timeline, under this name (`state_after`), not that at its start.
    pub state_after: Option<&'static str>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// The database failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Everything that holds for one look at the user's rooms.
pub(crate) struct Pass<'a> {
    pub(crate) sync: &'a Sync,
    pub(crate) session: &'a DeviceSession,
    pub(crate) request: &'a SyncRequest,
    pub(crate) now_ms: u64,
    /// What the client has heard of.
    pub(crate) since: Option<SyncToken>,
    /// What it hears of now.
    pub(crate) upto: StreamPos,
    pub(crate) ephemeral: EphemeralChanges,
    pub(crate) personal: Arc<Personal>,
    /// All account data, if it was read.
    pub(crate) account_data: Option<Vec<AccountDataRow>>,
    pub(crate) keys: KnownKeys,
    /// Who was erased.
    pub(crate) erased: Arc<HashSet<OwnedUserId>>,
}

impl Pass<'_> {
    pub(crate) fn user_id(&self) -> &UserId {
        &self.session.user_id
    }

    pub(crate) fn filter(&self) -> &Filter {
        &self.request.filter
    }

    /// Whether the client hears of a room at all.
    pub(crate) fn allows_room(&self, room_id: &RoomId) -> bool {
        self.filter().allows_room(room_id) && !self.sync.settings().excluded_rooms.contains(room_id)
    }

    /// Whether an event is shown without its content: its sender was erased, and had not sent it to the user, who was not in the room then.
    pub(crate) fn is_pruned(&self, event: &Event, was_joined: bool) -> bool {
        !was_joined && self.erased.contains(&event.sender)
    }

    /// An event from before what is told now, as the user sees it. Whether the user was in the room then is known for sure only since
    /// the user's last member event: who was erased is not shown in doubt.
    pub(crate) fn older<'e>(&self, event: &'e Event, version: RoomVersion) -> MaybePruned<'e> {
        let row = plan::joined_row(self, event.room_nid);
        let was_joined = row.is_some_and(|row| event.pos.is_some_and(|pos| pos >= row.pos));
        if self.is_pruned(event, was_joined) {
            MaybePruned::Pruned(Box::new(prune(event, version)))
        } else {
            MaybePruned::Whole(event)
        }
    }

    /// Everything is told, not only what changed.
    pub(crate) fn tells_all(&self) -> bool {
        self.since.is_none() || self.request.full_state
    }
}

/// An event, or what is left of it.
pub(crate) enum MaybePruned<'e> {
    Whole(&'e Event),
    Pruned(Box<Event>),
}

impl std::ops::Deref for MaybePruned<'_> {
    type Target = Event;

    fn deref(&self) -> &Event {
        match self {
            Self::Whole(event) => event,
            Self::Pruned(event) => event,
        }
    }
}

/// An answer.
struct Answer {
    json: String,
    says_nothing: bool,
}

/// Answer a client, when there is something to say or its time is over: the response's body.
#[tracing::instrument(name = "sync.v3", skip_all, fields(user.id = %session.user_id), err)]
pub async fn sync(
    sync: &Sync,
    session: &DeviceSession,
    request: &SyncRequest,
) -> Result<String, SyncError> {
    let ephemeral = sync.db().ephemeral();
    let _syncing = ephemeral.begin_syncing(&session.user_id, request.set_presence);
    let mut since = request.since;
    if let Some(since) = since {
        let patience = Duration::from_millis(CATCH_UP_MILLIS_MAX);
        sync.db().log().wait_for(since.pos, patience).await;
    }
    let timeout = request.timeout.min(Duration::from_millis(sync.settings().wait_millis_max));
    let deadline = tokio::time::Instant::now() + timeout;
    let answers_at_once = since.is_none() || request.full_state || timeout.is_zero();
    loop {
        let started = Instant::now();
        let all_rooms = since.is_none() || request.full_state;
        let mut sample =
            sync.sample(&session.user_id, since.map(|since| since.pos), all_rooms).await?;
        let (personal, account_data) = sync.personal(&session.user_id).await?;
        let pass = Pass {
            sync,
            session,
            request,
            now_ms: sync.now_ms(),
            since,
            // A position that this node has not reached yet is not taken back.
            upto: sample.upto.max(since.map_or(StreamPos::ZERO, |since| since.pos)),
            ephemeral: ephemeral.changed_since(since.map_or(0, |since| since.stamp)),
            personal,
            account_data,
            keys: *sync.keys().await?,
            erased: sync.db().erased_users().await?,
        };
        let token = SyncToken { pos: pass.upto, stamp: pass.ephemeral.stamp };
        let answer = answer(&pass, &mut sample, token).await?;
        let kind = if since.is_none() { "initial" } else { "incremental" };
        metrics::histogram!("myelin_sync_build_seconds", "kind" => kind)
            .record(started.elapsed().as_secs_f64());
        if answers_at_once || !answer.says_nothing {
            return Ok(answer.json);
        }
        let changed = tokio::select! {
            // Also when the user was let go from memory: then there may be news.
            _ = sample.wake.changed() => true,
            () = tokio::time::sleep_until(deadline) => false,
            () = sync.stop().cancelled() => false,
        };
        if !changed {
            return Ok(answer.json);
        }
        since = Some(token);
    }
}

/// Look at everything once.
async fn answer(
    pass: &Pass<'_>,
    sample: &mut crate::view::Sample,
    token: SyncToken,
) -> Result<Answer, SyncError> {
    let plan = plan::plan(pass, sample).await?;
    let loaded = load::load(pass, &plan).await?;
    let mut json = String::with_capacity(4_096);
    json.push_str("{\"next_batch\":\"");
    json.push_str(&token.to_string());
    json.push('"');
    let start = json.len();
    account_data::write_global(pass, &plan, &mut json);
    presence::write(pass, &plan, &mut json).await?;
    device_lists::write(pass, &plan, &loaded, &mut json).await?;
    room::write_all(pass, &plan, &loaded, &mut json);
    let says_nothing = json.len() == start;
    // Some clients take their absence for a server that knows nothing of them.
    json.push_str(",\"device_one_time_keys_count\":{},\"device_unused_fallback_key_types\":[]}");
    Ok(Answer { json, says_nothing })
}
