//! The handle of the engine.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use myelin_events::{RoomVersion, SigningKey};
use myelin_model::Clock;
use myelin_storage::{Db, LogSubscriber, RoomHead, StorageError};
use ruma::{OwnedServerName, OwnedUserId, RoomId, ServerName, UserId};

use crate::{
    Draft, EventError,
    ignored::IgnoredUsers,
    received::{Forked, Resolutions},
    tips::Tips,
    transactions::Outcomes,
};

/// The room engine of a node. It is cheap to clone.
#[derive(Debug, Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    db: Db,
    clock: Arc<dyn Clock>,
    server_name: OwnedServerName,
    key: Arc<SigningKey>,
    tips: Tips,
    resolutions: Resolutions,
    forked: Forked,
    outcomes: Arc<Outcomes>,
    ignored_users: Arc<IgnoredUsers>,
    last_create_ms: AtomicU64,
}

impl Engine {
    /// The engine of this node. `key` signs events in the name of `server_name`.
    pub fn new(
        db: Db,
        clock: Arc<dyn Clock>,
        server_name: OwnedServerName,
        key: Arc<SigningKey>,
    ) -> Self {
        let (tips, outcomes) = (Tips::default(), Arc::<Outcomes>::default());
        let (resolutions, forked) = (Resolutions::default(), Forked::default());
        let ignored_users = Arc::<IgnoredUsers>::default();
        db.log().subscribe(Arc::clone(&ignored_users) as Arc<dyn LogSubscriber>);
        db.log().subscribe(Arc::clone(&outcomes) as Arc<dyn LogSubscriber>);
        let last_create_ms = AtomicU64::new(0);
        let inner = Inner {
            db,
            clock,
            server_name,
            key,
            tips,
            resolutions,
            forked,
            outcomes,
            ignored_users,
            last_create_ms,
        };
        Self { inner: Arc::new(inner) }
    }

    /// The database.
    pub fn db(&self) -> &Db {
        &self.inner.db
    }

    /// This server.
    pub fn server_name(&self) -> &ServerName {
        &self.inner.server_name
    }

    /// The time, in milliseconds since the Unix epoch.
    pub fn now_ms(&self) -> u64 {
        self.inner.clock.now_ms()
    }

    /// Whether the user is one of this server.
    pub fn is_local(&self, user_id: &UserId) -> bool {
        user_id.server_name() == self.server_name()
    }

    /// A room's version.
    pub fn version_of(&self, head: &RoomHead) -> Result<RoomVersion, StorageError> {
        // Rooms of versions that are not known cannot be made or joined.
        RoomVersion::try_from(&head.room_version)
            .map_err(StorageError::foreign("rooms.room_version"))
    }

    /// Take the lock of a room and begin to add events to it. `None` if this server does not know the room's state. A warm room is not
    /// read from the database.
    pub async fn find_draft(&self, room_id: &RoomId) -> Result<Option<Draft>, StorageError> {
        let draft = match self.db().heads().find_nid(room_id).await? {
            Some(room_nid) => Draft::open(self, room_nid).await?,
            None => None,
        };
        Ok(draft.filter(|draft| draft.head.has_state()))
    }

    /// Find a draft as [`Engine::find_draft`] does, for a room that must be there. Fails with
    /// [`EventError::UnknownRoom`].
    pub async fn get_draft(&self, room_id: &RoomId) -> Result<Draft, EventError> {
        self.find_draft(room_id).await?.ok_or(EventError::UnknownRoom)
    }

    /// Begin a new room. It has a random ID; versions that derive the ID from the create event have it after that is added.
    pub async fn create_draft(&self, version: RoomVersion) -> Result<Draft, StorageError> {
        Draft::new_room(self, version, RoomId::new_v1(self.server_name())).await
    }

    /// A time for a create event, given out once on this node, in milliseconds since the Unix epoch: since version 12 two rooms
    /// that a user makes with the same options in the same millisecond would be one.
    pub fn next_create_ms(&self) -> u64 {
        let now = self.now_ms();
        let next = |last: u64| Some(now.max(last.saturating_add(1)));
        let last =
            self.inner.last_create_ms.fetch_update(Ordering::AcqRel, Ordering::Acquire, next);
        last.map_or(now, |last| now.max(last.saturating_add(1)))
    }

    /// The users whom a user ignores. It takes at most one query, none while the list is in memory.
    pub(crate) async fn ignored_users(
        &self,
        user_id: &UserId,
    ) -> Result<Arc<HashSet<OwnedUserId>>, StorageError> {
        self.inner.ignored_users.get(self.db(), user_id).await
    }

    pub(crate) fn key(&self) -> &SigningKey {
        &self.inner.key
    }

    pub(crate) fn tips(&self) -> &Tips {
        &self.inner.tips
    }

    pub(crate) fn forked(&self) -> &Forked {
        &self.inner.forked
    }

    pub(crate) fn resolutions(&self) -> &Resolutions {
        &self.inner.resolutions
    }

    pub(crate) fn outcomes(&self) -> &Outcomes {
        &self.inner.outcomes
    }
}
