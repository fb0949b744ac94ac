//! Following the log: one task, one order.

use std::{sync::Arc, time::Duration};

use myelin_model::StreamPos;
use parking_lot::RwLock;
use sqlx::PgPool;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::{LogEntry, listen, read};
use crate::{StorageError, event_cache::EventCache};

/// How many entries one query reads while catching up.
const CATCH_UP_ENTRIES_MAX: i64 = 1_000;

/// How long to wait before reading the log again after a failure.
const RETRY_MILLIS: u64 = 250;

/// Something that keeps a view of the log in memory.
pub trait LogSubscriber: Send + Sync + 'static {
    /// Take up entries. Called in position order, each entry once, never concurrently; [`Log::applied`] moves after all
    /// subscribers have returned. Must be quick and must not block: it delays every answer of the node.
    fn apply(&self, entries: &[Arc<LogEntry>]);
}

/// A node's own commit, handed to the log so that it need not be read back.
pub(crate) struct Feed {
    /// The entries, positions rising by one.
    pub(crate) entries: Vec<Arc<LogEntry>>,
    /// What to do when they are applied: answer those who wait.
    pub(crate) then: Box<dyn FnOnce() + Send>,
}

/// A handle to the log of this node. Cheap to clone.
#[derive(Clone)]
pub struct Log {
    feed: mpsc::UnboundedSender<Feed>,
    applied: watch::Receiver<StreamPos>,
    subscribers: Arc<RwLock<Vec<Arc<dyn LogSubscriber>>>>,
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log").field("applied", &*self.applied.borrow()).finish_non_exhaustive()
    }
}

impl Log {
    /// Start to follow the log from its end. `ephemeral` takes what comes on the channel of ephemeral news.
    pub(crate) async fn start(
        pool: PgPool,
        listen_pool: PgPool,
        events: Arc<EventCache>,
        ephemeral: mpsc::UnboundedSender<String>,
        stop: CancellationToken,
    ) -> Result<Self, StorageError> {
        // Listen first, then read the end: what is committed in between is announced.
        let notified = listen::start(listen_pool, ephemeral, stop.clone()).await?;
        let end = read::end(&pool).await?;
        let (feed, fed) = mpsc::unbounded_channel();
        let (applied_sender, applied) = watch::channel(end);
        let subscribers = Arc::new(RwLock::new(Vec::new()));
        let follower = Follower {
            pool,
            events,
            subscribers: Arc::clone(&subscribers),
            applied: applied_sender,
            waiting: Vec::new(),
        };
        tokio::spawn(follower.run(fed, notified, stop));
        Ok(Self { feed, applied, subscribers })
    }

    /// Have `subscriber` called for every entry from now on.
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

    /// Hand over an own commit. `feed.then` runs when the node has applied it.
    pub(crate) fn feed(&self, feed: Feed) -> Result<(), StorageError> {
        self.feed.send(feed).map_err(|_| StorageError::Stopping)
    }
}

/// The task that applies entries.
struct Follower {
    pool: PgPool,
    events: Arc<EventCache>,
    subscribers: Arc<RwLock<Vec<Arc<dyn LogSubscriber>>>>,
    applied: watch::Sender<StreamPos>,
    /// Own commits that stand behind a gap: entries of another node, not read yet.
    waiting: Vec<Feed>,
}

impl Follower {
    async fn run(
        mut self,
        mut fed: mpsc::UnboundedReceiver<Feed>,
        mut notified: watch::Receiver<StreamPos>,
        stop: CancellationToken,
    ) {
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                feed = fed.recv() => match feed {
                    Some(feed) => self.take(feed).await,
                    None => return,
                },
                changed = notified.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let end = *notified.borrow_and_update();
                    // What this node wrote itself is mostly in the channel already, ahead of its own announcement.
                    while let Ok(feed) = fed.try_recv() {
                        self.take(feed).await;
                    }
                    self.catch_up(end).await;
                }
            }
        }
    }

    /// Apply an own commit: at once if it is next, else after what stands before it has been read.
    async fn take(&mut self, feed: Feed) {
        let (Some(first), Some(last)) =
            (feed.entries.first().map(|entry| entry.pos), feed.entries.last())
        else {
            (feed.then)();
            return;
        };
        let applied = *self.applied.borrow();
        if first == applied.next() {
            self.apply(&feed.entries);
            (feed.then)();
        } else if last.pos <= applied {
            (feed.then)();
        } else {
            let end = last.pos;
            self.waiting.push(feed);
            self.catch_up(end).await;
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
            match read::entries(&self.pool, applied, upto).await {
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
        let applied = *self.applied.borrow();
        let (done, waiting): (Vec<_>, Vec<_>) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|feed| feed.entries.last().is_none_or(|last| last.pos <= applied));
        self.waiting = waiting;
        for feed in done {
            (feed.then)();
        }
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
