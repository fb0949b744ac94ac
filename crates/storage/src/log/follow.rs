//! Following the log: one task, one order.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use myelin_model::StreamPos;
use parking_lot::RwLock;
use sqlx::PgPool;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;

use super::{
    Change, LogEntry,
    encoding::{self, Row},
    listen, read,
    unknown::Unknowns,
};
use crate::{StorageError, event_cache::EventCache, reads::Reads};

/// The number of entries that one query reads while catching up.
const CATCH_UP_ENTRIES_MAX: i64 = 1_000;

/// The time that an own commit which the database has announced may take to come back, before it is read like another
/// node's.
const OWN_COMMIT_MILLIS_MAX: u64 = 20;

/// The time to wait before reading the log again after a failure.
const RETRY_MILLIS: u64 = 250;

/// A part of this node that keeps a view of the log in memory.
pub trait LogSubscriber: Send + Sync + 'static {
    /// Take up entries. Called in position order, each entry once, never concurrently; [`Log::applied`] moves after all
    /// subscribers have returned. Must be quick and must not block: it delays every answer of the node.
    fn apply(&self, entries: &[Arc<LogEntry>]);
}

/// A node's own commit, handed to the log so that it need not be read back.
pub(crate) struct Feed {
    /// The entries, positions rising by one.
    pub(crate) entries: Vec<Arc<LogEntry>>,
    /// The call that answers those who wait, made when the entries are applied.
    pub(crate) then: Box<dyn FnOnce() + Send>,
}

/// A handle to the log of this node. It is cheap to clone.
#[derive(Clone)]
pub struct Log {
    feed: mpsc::UnboundedSender<Feed>,
    applied: watch::Receiver<StreamPos>,
    subscribers: Arc<RwLock<Vec<Arc<dyn LogSubscriber>>>>,
    writing: Arc<AtomicUsize>,
    unknowns: Arc<Unknowns>,
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log").field("applied", &*self.applied.borrow()).finish_non_exhaustive()
    }
}

impl Log {
    /// Start to follow the log from its end. `ephemeral` takes what comes on the channel of ephemeral changes.
    pub(crate) async fn start(
        pool: PgPool,
        listen_pool: PgPool,
        events: Arc<EventCache>,
        ephemeral: mpsc::UnboundedSender<String>,
        stop: CancellationToken,
    ) -> Result<Self, StorageError> {
        // Listen first, then read the end: what is committed in between is announced.
        let notified = listen::start(listen_pool, ephemeral, stop.clone()).await?;
        let pool = Reads::new(pool);
        let end = read::end(&pool).await?;
        let (feed, fed) = mpsc::unbounded_channel();
        let (applied_sender, applied) = watch::channel(end);
        let subscribers = Arc::new(RwLock::new(Vec::new()));
        let (writing, unknowns) = (Arc::default(), Arc::<Unknowns>::default());
        let follower = Follower {
            pool,
            events,
            subscribers: Arc::clone(&subscribers),
            applied: applied_sender,
            writing: Arc::clone(&writing),
            waiting: Vec::new(),
            unknowns: Arc::clone(&unknowns),
        };
        tokio::spawn(follower.run(fed, notified, stop));
        Ok(Self { feed, applied, subscribers, writing, unknowns })
    }

    /// Call `subscriber` for every entry from now on.
    pub fn subscribe(&self, subscriber: Arc<dyn LogSubscriber>) {
        self.subscribers.write().push(subscriber);
    }

    /// The position that every view of this node has reached.
    pub fn applied(&self) -> StreamPos {
        *self.applied.borrow()
    }

    /// Watch [`Log::applied`].
    pub fn watch(&self) -> watch::Receiver<StreamPos> {
        self.applied.clone()
    }

    /// Wait until this node has reached `pos`, at most `timeout`. Whether it has.
    pub async fn wait_for(&self, pos: StreamPos, timeout: Duration) -> bool {
        let mut applied = self.applied.clone();
        let reached =
            tokio::time::timeout(timeout, applied.wait_for(|applied| *applied >= pos)).await;
        matches!(reached, Ok(Ok(_)))
    }

    /// Read a row of `log`. What this version of the server does not know, or cannot read, is counted and told of, and is
    /// [`Change::Other`].
    pub(crate) fn read_row(&self, pos: StreamPos, row: &Row) -> Change {
        encoding::decode(row).unwrap_or_else(|unknown| self.unknowns.count(pos, *unknown))
    }

    /// Say that a write is under way. Keep what it returns until the commit has been fed, or has failed.
    pub(crate) fn begin_write(&self) -> Writing {
        self.writing.fetch_add(1, Ordering::AcqRel);
        Writing(Arc::clone(&self.writing))
    }

    /// Hand over an own commit. `feed.then` runs when the node has applied it.
    pub(crate) fn feed(&self, feed: Feed) -> Result<(), StorageError> {
        self.feed.send(feed).map_err(|_| StorageError::Stopping)
    }
}

/// An own write that is under way.
pub(crate) struct Writing(Arc<AtomicUsize>);

impl Drop for Writing {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The task that applies entries.
struct Follower {
    pool: Reads,
    events: Arc<EventCache>,
    subscribers: Arc<RwLock<Vec<Arc<dyn LogSubscriber>>>>,
    applied: watch::Sender<StreamPos>,
    /// The number of own writes that are under way.
    writing: Arc<AtomicUsize>,
    /// Own commits that stand behind a gap: entries of another node, not read yet.
    waiting: Vec<Feed>,
    unknowns: Arc<Unknowns>,
}

impl Follower {
    async fn run(
        mut self,
        mut fed: mpsc::UnboundedReceiver<Feed>,
        mut notified: watch::Receiver<StreamPos>,
        stop: CancellationToken,
    ) {
        loop {
            let end = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                feed = fed.recv() => match feed {
                    Some(feed) => self.take(feed),
                    None => return,
                },
                changed = notified.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    *notified.borrow_and_update()
                }
            };
            self.reach(&mut fed, end).await;
        }
    }

    /// Take up an own commit. Where it ends.
    fn take(&mut self, feed: Feed) -> StreamPos {
        let end = feed.entries.last().map_or(StreamPos::ZERO, |last| last.pos);
        self.waiting.push(feed);
        end
    }

    /// Reach `end`: by own commits where they are on their way here, else by reading. What this node writes is mostly announced by
    /// the database before the commit has returned.
    async fn reach(&mut self, fed: &mut mpsc::UnboundedReceiver<Feed>, end: StreamPos) {
        let deadline = Instant::now() + Duration::from_millis(OWN_COMMIT_MILLIS_MAX);
        loop {
            self.apply_waiting();
            if *self.applied.borrow() >= end {
                return;
            }
            // Looked at before the channel: a commit is fed before it counts as done.
            let is_writing = self.writing.load(Ordering::Acquire) > 0;
            let feed = match fed.try_recv() {
                Ok(feed) => Some(feed),
                Err(_) if is_writing => timeout_at(deadline, fed.recv()).await.ok().flatten(),
                Err(_) => None,
            };
            match feed {
                Some(feed) => drop(self.take(feed)),
                None => break,
            }
        }
        self.catch_up(end).await;
    }

    /// Apply the own commits that are next, and release who waits for those that were read meanwhile.
    fn apply_waiting(&mut self) {
        self.waiting.sort_by_key(|feed| feed.entries.first().map(|first| first.pos));
        for feed in std::mem::take(&mut self.waiting) {
            let applied = *self.applied.borrow();
            let first = feed.entries.first().map(|first| first.pos);
            let last = feed.entries.last().map(|last| last.pos);
            if first == Some(applied.next()) {
                self.apply(&feed.entries);
                (feed.then)();
            } else if last.is_none_or(|last| last <= applied) {
                (feed.then)();
            } else {
                self.waiting.push(feed);
            }
        }
    }

    /// Read and apply entries until `end` is reached, then release who waited for it.
    async fn catch_up(&mut self, end: StreamPos) {
        loop {
            let applied = *self.applied.borrow();
            if applied >= end {
                break;
            }
            let upto = end.min(StreamPos(applied.0.saturating_add(CATCH_UP_ENTRIES_MAX)));
            match read::entries(&self.pool, applied, upto, &self.unknowns).await {
                Ok(entries) => {
                    self.apply(&entries);
                    // The last of them may have been purged.
                    self.applied.send_replace(upto);
                }
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "could not read the log; trying again"
                    );
                    tokio::time::sleep(Duration::from_millis(RETRY_MILLIS)).await;
                }
            }
        }
        self.apply_waiting();
    }

    fn apply(&self, entries: &[Arc<LogEntry>]) {
        let Some(last) = entries.last() else { return };
        self.events.apply(entries);
        for subscriber in self.subscribers.read().iter() {
            subscriber.apply(entries);
        }
        self.applied.send_replace(last.pos);
    }
}
