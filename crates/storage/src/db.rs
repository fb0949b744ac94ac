//! The handle to everything stored.

use std::sync::Arc;

use myelin_model::{Clock, SystemClock};
use sqlx::PgPool;
use tokio::sync::mpsc;
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use crate::{
    Ephemeral, Leases, PresenceTimers, StorageError, Tx, Writer,
    accounts::{ErasedUsers, UserIps, write_user_ips},
    event_cache::EventCache,
    heads::Heads,
    log::{Log, LogSubscriber},
    migrate,
    nids::Nids,
    reads::Reads,
    rooms::KnownHistories,
    state::{KnownValues, StateKeys, WholeStates},
};

/// The settings of storage.
#[derive(Debug, Clone)]
pub struct StorageSettings {
    /// The memory that events may take on this node, in bytes.
    pub event_cache_size_bytes_max: u64,
    /// The times after which users count as away. `None`: presence is neither kept nor shown.
    pub presence: Option<PresenceTimers>,
    /// The time, for typing and presence.
    pub clock: Arc<dyn Clock>,
}

impl Default for StorageSettings {
    fn default() -> Self {
        Self {
            event_cache_size_bytes_max: 24 * 1024 * 1024,
            presence: Some(PresenceTimers::default()),
            clock: Arc::new(SystemClock),
        }
    }
}

/// A handle to the database, the log and what this node keeps of them in memory. It is cheap to clone.
#[derive(Debug, Clone)]
pub struct Db {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    pool: PgPool,
    reads: Reads,
    log: Log,
    writer: Writer,
    heads: Arc<Heads>,
    whole_states: Arc<WholeStates>,
    event_cache: Arc<EventCache>,
    state_keys: StateKeys,
    nids: Nids,
    ephemeral: Ephemeral,
    visibility_histories: Arc<KnownHistories>,
    state_values: KnownValues,
    erased_users: Arc<ErasedUsers>,
    user_ips: Arc<UserIps>,
    /// The tasks that write a last time after a stop.
    last_writes: TaskTracker,
    /// Ends the tasks when the last handle goes.
    _stop: DropGuard,
}

impl Db {
    /// Bring the schema up to date. Safe to call on several nodes at once: one does it, the others wait.
    pub async fn migrate(pool: &PgPool) -> Result<(), StorageError> {
        migrate::migrate(pool).await
    }

    /// Start to follow the log and to write to it, until `stop` or until the last handle is dropped. The schema must be up
    /// to date.
    ///
    /// `listen_pool` must lead to PostgreSQL itself, `pool` may lead through a pooler.
    pub async fn open(
        pool: PgPool,
        listen_pool: PgPool,
        settings: &StorageSettings,
        stop: CancellationToken,
    ) -> Result<Self, StorageError> {
        let stop = stop.child_token();
        let last_writes = TaskTracker::new();
        let event_cache = Arc::new(EventCache::new(settings.event_cache_size_bytes_max));
        let (ephemeral_heard, ephemeral_news) = mpsc::unbounded_channel();
        let log = Log::start(
            pool.clone(),
            listen_pool,
            Arc::clone(&event_cache),
            ephemeral_heard,
            stop.clone(),
        )
        .await?;
        let whole_states = Arc::<WholeStates>::default();
        let heads = Arc::new(Heads::new(pool.clone(), Arc::clone(&whole_states)));
        log.subscribe(Arc::clone(&heads) as Arc<dyn LogSubscriber>);
        let ephemeral = Ephemeral::start(
            pool.clone(),
            Arc::clone(&settings.clock),
            settings.presence,
            ephemeral_news,
            &last_writes,
            stop.clone(),
        )
        .await?;
        log.subscribe(ephemeral.log_subscriber());
        let erased_users = Arc::<ErasedUsers>::default();
        log.subscribe(Arc::clone(&erased_users) as Arc<dyn LogSubscriber>);
        let visibility_histories = Arc::<KnownHistories>::default();
        log.subscribe(Arc::clone(&visibility_histories) as Arc<dyn LogSubscriber>);
        let user_ips = Arc::new(UserIps::new(pool.clone()));
        last_writes.spawn(write_user_ips(Arc::clone(&user_ips), stop.clone()));
        let writer = Writer::start(
            pool.clone(),
            log.clone(),
            Arc::clone(&heads),
            Arc::clone(&whole_states),
            stop.clone(),
        );
        let (state_keys, nids) = (StateKeys::new(pool.clone()), Nids::new(pool.clone()));
        let db = Self {
            inner: Arc::new(Inner {
                reads: Reads::new(pool.clone()),
                pool,
                log,
                writer,
                heads,
                whole_states,
                event_cache,
                state_keys,
                nids,
                ephemeral,
                visibility_histories,
                state_values: KnownValues::default(),
                erased_users,
                user_ips,
                last_writes,
                _stop: stop.drop_guard(),
            }),
        };
        db.users().list_erased().await?;
        Ok(db)
    }

    /// Start a transaction.
    pub async fn begin(&self) -> Result<Tx, StorageError> {
        let inner = self.inner.reads.begin().await?;
        Ok(Tx::new(inner, self.inner.log.clone()))
    }

    /// The log.
    pub fn log(&self) -> &Log {
        &self.inner.log
    }

    /// Typing and presence.
    pub fn ephemeral(&self) -> &Ephemeral {
        &self.inner.ephemeral
    }

    pub(crate) fn known_erased_users(&self) -> &ErasedUsers {
        &self.inner.erased_users
    }

    /// The addresses from which users call.
    pub fn user_ips(&self) -> &UserIps {
        &self.inner.user_ips
    }

    pub(crate) fn known_visibility_histories(&self) -> &KnownHistories {
        &self.inner.visibility_histories
    }

    pub(crate) fn known_state_values(&self) -> &KnownValues {
        &self.inner.state_values
    }

    /// The group-commit writer.
    pub fn writer(&self) -> &Writer {
        &self.inner.writer
    }

    pub(crate) fn whole_states(&self) -> &Arc<WholeStates> {
        &self.inner.whole_states
    }

    /// The heads of rooms.
    pub fn heads(&self) -> &Heads {
        &self.inner.heads
    }

    /// The events in memory.
    pub fn event_cache(&self) -> &EventCache {
        &self.inner.event_cache
    }

    /// The numbers of state keys.
    pub fn state_keys(&self) -> &StateKeys {
        &self.inner.state_keys
    }

    /// Numbers for new things.
    pub fn nids(&self) -> &Nids {
        &self.inner.nids
    }

    /// Waits until what was kept in memory has been written a last time after a stop: presence, and from where users called.
    /// The pool must stay open until then.
    pub async fn written(&self) {
        self.inner.last_writes.close();
        self.inner.last_writes.wait().await;
    }

    /// Begin to do what one node does for all, until `stop`.
    pub fn start_leases(&self, stop: CancellationToken) -> Leases {
        Leases::start(self.inner.pool.clone(), stop)
    }

    /// The pool, for reads outside of a transaction.
    pub(crate) fn pool(&self) -> &Reads {
        &self.inner.reads
    }

    /// The pool itself, for tasks in the background, which come back when they fail.
    pub(crate) fn background_pool(&self) -> PgPool {
        self.inner.pool.clone()
    }
}
