//! The structure that everything on the read side works on, and its settings.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Weak},
};

use myelin_events::{
    account_data::{
        IGNORED_USER_LIST, INVITE_PERMISSION_CONFIG, PUSH_RULES, blocks_invites, ignored_users,
        push_rules,
    },
    push::{are_default, default_rules},
};
use myelin_model::{Clock, EventNid, RoomNid, StateKeyNid, StreamPos};
use myelin_storage::{
    Db, EphemeralSubscriber, LogSubscriber, MemberSummary, MembershipRow, StateKey, StorageError,
    accounts::StoredAccountData, e2ee::KeyCountsByDevice,
};
use ruma::{OwnedRoomId, OwnedUserId, UserId};
use tokio::sync::{OnceCell, mpsc};
use tokio_util::sync::CancellationToken;

use crate::{
    SyncToken,
    filter::{KnownFilters, known_filters},
    member_summaries::MemberSummaries,
    sent_members::SentMembers,
    unread::UnreadCounts,
    view::{Personal, Sample, View, ViewSettings},
};

/// The number of users who may wait for their rooms to be read: something changed of them, and they do not sync on this node.
const COLD_USERS_MAX: usize = 1_024;

/// The number of times that a user's rooms are read when the log runs ahead of the database.
const LOAD_ATTEMPTS_MAX: usize = 5;

/// The memory that stored filters may take.
const FILTERS_SIZE_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// The settings of the read side.
#[derive(Debug, Clone)]
pub struct SyncSettings {
    /// The limits of what is kept in memory.
    pub view: ViewSettings,
    /// The number of events that a timeline has at most, whatever the filter says.
    pub timeline_events_max: usize,
    /// The time for which a request may wait for news at most, in milliseconds.
    pub wait_millis_max: u64,
    /// Whether users who are offline stand in the presence of an initial sync.
    pub presence_includes_offline: bool,
    /// Rooms that no client hears of.
    pub excluded_rooms: HashSet<OwnedRoomId>,
    /// The state of a room that invited and knocking users see.
    pub prejoin_state: PrejoinState,
}

/// The state of a room that invited and knocking users see.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PrejoinState {
    /// The usual state is left out: name, avatar, topic, join rules, canonical alias, encryption.
    pub without_usual: bool,
    /// Event types beside it, each with one state key or with all.
    pub additional: Vec<(String, Option<String>)>,
}

impl Default for SyncSettings {
    fn default() -> Self {
        Self {
            view: ViewSettings::default(),
            timeline_events_max: 100,
            wait_millis_max: 600_000,
            presence_includes_offline: false,
            excluded_rooms: HashSet::new(),
            prejoin_state: PrejoinState::default(),
        }
    }
}

/// The read side of a node. It is cheap to clone.
#[derive(Debug, Clone)]
pub struct Sync {
    inner: Arc<Inner>,
}

struct Inner {
    db: Db,
    clock: Arc<dyn Clock>,
    settings: SyncSettings,
    view: Arc<View>,
    sent_members: SentMembers,
    unread: UnreadCounts,
    member_summaries: MemberSummaries,
    keys: OnceCell<KnownKeys>,
    filters: KnownFilters,
    stop: CancellationToken,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sync").field("view", &self.view).finish_non_exhaustive()
    }
}

/// The numbers of the state keys that every room's answer looks at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KnownKeys {
    pub(crate) create: StateKeyNid,
    pub(crate) name: StateKeyNid,
    pub(crate) canonical_alias: StateKeyNid,
    pub(crate) avatar: StateKeyNid,
    pub(crate) topic: StateKeyNid,
    pub(crate) join_rules: StateKeyNid,
    pub(crate) encryption: StateKeyNid,
    pub(crate) history_visibility: StateKeyNid,
    pub(crate) power_levels: StateKeyNid,
}

impl Sync {
    /// Start to follow the log. Requests that wait are answered at once when `stop` is canceled.
    pub fn start(
        db: Db,
        clock: Arc<dyn Clock>,
        settings: SyncSettings,
        stop: CancellationToken,
    ) -> Self {
        let (cold_users, cold_users_to_read) = mpsc::channel(COLD_USERS_MAX);
        let view = Arc::new(View::new(db.log().applied(), &settings.view, cold_users));
        db.log().subscribe(Arc::clone(&view) as Arc<dyn LogSubscriber>);
        db.ephemeral().subscribe(Arc::clone(&view) as Arc<dyn EphemeralSubscriber>);
        // What was applied between the look at the log and the subscription is not in the view.
        view.start_at(db.log().applied());
        let (sent_members, unread) = (SentMembers::default(), UnreadCounts::default());
        let (keys, filters) = (OnceCell::new(), known_filters(FILTERS_SIZE_BYTES_MAX));
        let member_summaries = MemberSummaries::default();
        let inner = Inner {
            db,
            clock,
            settings,
            view,
            sent_members,
            unread,
            member_summaries,
            keys,
            filters,
            stop,
        };
        let inner = Arc::new(inner);
        tokio::spawn(wake_sharers_of(Arc::downgrade(&inner), cold_users_to_read));
        Self { inner }
    }

    pub(crate) fn db(&self) -> &Db {
        &self.inner.db
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.inner.clock.now_ms()
    }

    /// The settings.
    pub fn settings(&self) -> &SyncSettings {
        &self.inner.settings
    }

    pub(crate) fn view(&self) -> &View {
        &self.inner.view
    }

    pub(crate) fn sent_members(&self) -> &SentMembers {
        &self.inner.sent_members
    }

    pub(crate) fn unread(&self) -> &UnreadCounts {
        &self.inner.unread
    }

    /// Member counts and heroes of rooms. It takes at most one query.
    pub(crate) async fn member_summaries(
        &self,
        room_nids: &[RoomNid],
    ) -> Result<HashMap<RoomNid, Arc<MemberSummary>>, StorageError> {
        self.inner.member_summaries.get_many(self.db(), self.view(), room_nids).await
    }

    /// Stored filters, by user and number.
    pub(crate) fn filters(&self) -> &KnownFilters {
        &self.inner.filters
    }

    pub(crate) fn stop(&self) -> &CancellationToken {
        &self.inner.stop
    }

    /// The numbers of well-known state keys. Asked of the database once.
    pub(crate) async fn keys(&self) -> Result<&KnownKeys, StorageError> {
        self.inner.keys.get_or_try_init(|| known_keys(self.db())).await
    }

    /// Wait until this node has reached a token, which may come from another node. One of a future that is not there any more,
    /// as after a restore, is taken for now: nothing that is new is kept from its client.
    pub(crate) async fn reach(&self, token: SyncToken) -> Result<SyncToken, StorageError> {
        let pos = self.db().reach(token.pos).await?;
        let stamp = token.stamp.min(self.db().ephemeral().stamp_now());
        let to_device = token.to_device.map(|to_device| to_device.min(pos));
        Ok(SyncToken { pos, stamp, to_device })
    }

    /// Read a user's rooms into the view, if they are not there. It takes at most one query.
    pub(crate) async fn warm(&self, user_id: &UserId) -> Result<(), StorageError> {
        for _ in 0..LOAD_ATTEMPTS_MAX {
            if self.view().is_hot(user_id) {
                return Ok(());
            }
            let read_at = self.view().last();
            let rows = self.db().hot_user(user_id).await?;
            if self.view().add_user(user_id, rows, read_at) {
                return Ok(());
            }
        }
        Err(StorageError::foreign("sync view")("the log runs ahead of what is read"))
    }

    /// A user's membership in a room, if there is one. It takes at most one query, none while the user is kept in memory.
    pub(crate) async fn find_membership(
        &self,
        user_id: &UserId,
        room_nid: RoomNid,
    ) -> Result<Option<MembershipRow>, StorageError> {
        for _ in 0..LOAD_ATTEMPTS_MAX {
            self.warm(user_id).await?;
            if let Ok(row) = self.view().find_membership(user_id, room_nid) {
                return Ok(row);
            }
        }
        Err(StorageError::foreign("sync view")("a user is let go at once"))
    }

    /// The rooms that a user is joined to. It takes at most one query, none while the user is kept in memory.
    pub(crate) async fn joined_rooms(
        &self,
        user_id: &UserId,
    ) -> Result<Vec<RoomNid>, StorageError> {
        for _ in 0..LOAD_ATTEMPTS_MAX {
            self.warm(user_id).await?;
            if let Ok(rooms) = self.view().joined_rooms(user_id) {
                return Ok(rooms);
            }
        }
        Err(StorageError::foreign("sync view")("a user is let go at once"))
    }

    /// A user at this moment, with what happened after `since`.
    pub(crate) async fn sample(
        &self,
        user_id: &UserId,
        since: Option<StreamPos>,
        all_rooms: bool,
    ) -> Result<Sample, StorageError> {
        for _ in 0..LOAD_ATTEMPTS_MAX {
            self.warm(user_id).await?;
            let least = self.db().log().applied();
            // Between the two calls the user may have been let go again.
            if let Some(mut sample) = self.view().sample(user_id, since, least, all_rooms) {
                self.take_back(&mut sample).await?;
                return Ok(sample);
            }
        }
        Err(StorageError::foreign("sync view")("a user is let go at once"))
    }

    /// The user's rooms may have been read ahead of what this node has applied: take them back to the position that
    /// everything is told at. It takes no query unless there are such rooms.
    async fn take_back(&self, sample: &mut Sample) -> Result<(), StorageError> {
        let ahead = sample.rooms.iter().filter(|row| row.pos > sample.upto);
        let ahead: Vec<EventNid> = ahead.map(|row| row.event_nid).collect();
        if !ahead.is_empty() {
            let chain = self.db().memberships().list_chain(&ahead, sample.upto).await?;
            as_of(&mut sample.rooms, &chain, sample.upto);
        }
        Ok(())
    }

    /// The keys that a user's devices have left for others to claim. It takes at most one query, none while the user is kept in
    /// memory and no key is claimed or uploaded.
    pub(crate) async fn key_counts(
        &self,
        user_id: &UserId,
    ) -> Result<Arc<KeyCountsByDevice>, StorageError> {
        match self.view().find_key_counts(user_id) {
            Ok(counts) => Ok(counts),
            Err(version) => {
                let counts = Arc::new(self.db().key_counts(user_id).await?);
                self.view().set_key_counts(user_id, version, &counts);
                Ok(counts)
            }
        }
    }

    /// The part of a user's account data that `/sync` itself follows, and all account data if it had to be read for
    /// that. It takes at most one query.
    pub(crate) async fn personal(
        &self,
        user_id: &UserId,
    ) -> Result<(Arc<Personal>, Option<Vec<StoredAccountData>>), StorageError> {
        match self.view().find_personal(user_id) {
            Ok(personal) => Ok((personal, None)),
            Err(version) => {
                let rows = self.db().account_data().list(user_id).await?;
                let content = |wanted: &str| {
                    rows.iter()
                        .find(|row| row.room_nid.is_none() && &*row.data_type == wanted)
                        .map(|row| &*row.content)
                };
                let ignored = content(IGNORED_USER_LIST)
                    .map(|content| ignored_users(content, user_id))
                    .unwrap_or_default();
                let rules = content(PUSH_RULES)
                    .map_or_else(|| default_rules(user_id), |content| push_rules(content, user_id));
                let personal = Personal {
                    ignored,
                    rules_are_default: are_default(&rules, user_id),
                    rules,
                    blocks_invites: content(INVITE_PERMISSION_CONFIG).is_some_and(blocks_invites),
                };
                let personal = Arc::new(personal);
                self.view().set_personal(user_id, version, &personal);
                Ok((personal, Some(rows)))
            }
        }
    }
}

/// Put the rows of a position in the place of later ones. `chain` leads from the later ones back to those.
fn as_of(rows: &mut Vec<MembershipRow>, chain: &[MembershipRow], upto: StreamPos) {
    rows.retain(|row| row.pos <= upto);
    rows.extend(chain.iter().filter(|row| row.pos <= upto));
}

async fn known_keys(db: &Db) -> Result<KnownKeys, StorageError> {
    let key = |event_type| StateKey::new(event_type, "");
    let types = [
        "m.room.create",
        "m.room.name",
        "m.room.canonical_alias",
        "m.room.avatar",
        "m.room.topic",
        "m.room.join_rules",
        "m.room.encryption",
        "m.room.history_visibility",
        "m.room.power_levels",
    ];
    // Given numbers if they have none, so that they never need be asked for again.
    let found = db.state_keys().get_or_add(&types.map(key)).await?;
    let get = |event_type| {
        let nid = found.get(&key(event_type)).copied();
        nid.ok_or_else(|| StorageError::foreign("state_keys.event_type")("missing"))
    };
    Ok(KnownKeys {
        create: get("m.room.create")?,
        name: get("m.room.name")?,
        canonical_alias: get("m.room.canonical_alias")?,
        avatar: get("m.room.avatar")?,
        topic: get("m.room.topic")?,
        join_rules: get("m.room.join_rules")?,
        encryption: get("m.room.encryption")?,
        history_visibility: get("m.room.history_visibility")?,
        power_levels: get("m.room.power_levels")?,
    })
}

/// Read the rooms of users of whom something changed and who do not sync on this node, to wake who shares a room with them.
async fn wake_sharers_of(sync: Weak<Inner>, mut cold_users: mpsc::Receiver<OwnedUserId>) {
    while let Some(user_id) = cold_users.recv().await {
        let Some(inner) = sync.upgrade() else { return };
        let sync = Sync { inner };
        match sync.warm(&user_id).await {
            Ok(()) => drop(sync.view().wake_sharers(&user_id)),
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "could not read the rooms of a user whose presence changed"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use myelin_model::Membership;

    use super::*;

    #[test]
    fn rooms_that_were_read_ahead_stand_as_they_did() {
        let row = |room: i64, membership: Membership, pos: i64| MembershipRow {
            room_nid: RoomNid(room),
            membership,
            event_nid: EventNid(pos),
            pos: StreamPos(pos),
            forgotten: false,
        };
        // A new name in one room and a first join to another are committed, and not applied here.
        let mut rows = vec![
            row(1, Membership::Join, 3),
            row(2, Membership::Join, 9),
            row(3, Membership::Join, 8),
        ];
        let chain =
            [row(2, Membership::Join, 9), row(3, Membership::Join, 8), row(2, Membership::Join, 4)];
        as_of(&mut rows, &chain, StreamPos(7));
        let stand: Vec<_> = rows.iter().map(|row| (row.room_nid.0, row.pos.0)).collect();
        assert_eq!(stand, [(1, 3), (2, 4)]);
    }
}
