//! The task that writes batches.

use std::{
    collections::HashMap,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use myelin_model::StreamPos;
use sqlx::{PgConnection, PgPool, Postgres, pool::PoolConnection};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::{Append, AppendError, Appended, NewReceipt, batch::Batch};
use crate::{
    StorageError,
    heads::Heads,
    log::{Change, Feed, Log, LogEntry},
};

/// How many items may wait for the next batch. Beyond it senders wait: the database cannot keep up.
const QUEUE_ITEMS_MAX: usize = 4_096;

/// How many items one batch takes.
const BATCH_ITEMS_MAX: usize = 512;

/// When the writer's connection goes back to the pool: nobody has written for so long.
const IDLE: Duration = Duration::from_millis(500);

/// How often a batch is tried while the database cannot be reached.
const ATTEMPTS_MAX: u32 = 20;

/// How long to wait between the attempts.
const RETRY_MILLIS: u64 = 250;

type Answer<T> = oneshot::Sender<Result<T, AppendError>>;

enum Item {
    Append(Box<Append>, Answer<Appended>),
    Receipt(NewReceipt, Answer<()>),
}

/// The group-commit writer of this node. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Writer {
    queue: mpsc::Sender<Item>,
}

/// An append in the queue: what it becomes can be waited for later.
#[derive(Debug)]
pub struct Queued(oneshot::Receiver<Result<Appended, AppendError>>);

impl Queued {
    /// Wait until the append is flushed and applied on this node.
    pub async fn wait(self) -> Result<Appended, AppendError> {
        self.0.await.unwrap_or_else(|_| Err(stopping()))
    }
}

impl Writer {
    pub(crate) fn start(
        pool: PgPool,
        log: Log,
        heads: Arc<Heads>,
        stop: CancellationToken,
    ) -> Self {
        let (queue, queued) = mpsc::channel(QUEUE_ITEMS_MAX);
        tokio::spawn(run(Target { line: Line { pool, own: None }, log, heads }, queued, stop));
        Self { queue }
    }

    /// Append events; returns when they are flushed and applied on this node.
    pub async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        self.queue(append).await?.wait().await
    }

    /// Put an append into the queue. Items of one room must be queued in the order in which they build upon each other; so hold
    /// the room's lock for this call, and not for [`Queued::wait`].
    pub async fn queue(&self, append: Append) -> Result<Queued, AppendError> {
        let (answer, answered) = oneshot::channel();
        self.queue.send(Item::Append(Box::new(append), answer)).await.map_err(|_| stopping())?;
        Ok(Queued(answered))
    }

    /// Store a receipt; returns when it is flushed and applied on this node. One that does not move forward changes nothing.
    pub async fn set_receipt(&self, receipt: NewReceipt) -> Result<(), AppendError> {
        let (answer, answered) = oneshot::channel();
        self.queue.send(Item::Receipt(receipt, answer)).await.map_err(|_| stopping())?;
        answered.await.unwrap_or_else(|_| Err(stopping()))
    }
}

fn stopping() -> AppendError {
    AppendError::Storage(Arc::new(StorageError::Stopping))
}

/// The writer's connection. It is the writer's own: so a batch does not wait while others read, and the database is not asked
/// after each batch whether the connection is still good, as the pool does when it gets one back.
struct Line {
    pool: PgPool,
    own: Option<PoolConnection<Postgres>>,
}

impl Line {
    async fn connection(&mut self) -> Result<&mut PgConnection, StorageError> {
        let own = match self.own.take() {
            Some(own) => own,
            None => self.pool.acquire().await?,
        };
        Ok(self.own.insert(own))
    }

    /// Forget a connection that broke.
    fn cut(&mut self) {
        if let Some(own) = self.own.take() {
            drop(own.detach());
        }
    }
}

/// Where batches go.
struct Target {
    line: Line,
    log: Log,
    heads: Arc<Heads>,
}

async fn run(mut target: Target, mut queued: mpsc::Receiver<Item>, stop: CancellationToken) {
    let mut items = Vec::with_capacity(BATCH_ITEMS_MAX);
    let mut closed = pin!(target.line.pool.close_event());
    loop {
        let received = tokio::select! {
            biased;
            received = queued.recv_many(&mut items, BATCH_ITEMS_MAX) => received,
            () = stop.cancelled() => return,
            // Who closes the pool waits for our connection.
            () = &mut closed => return,
            () = tokio::time::sleep(IDLE), if target.line.own.is_some() => {
                target.line.own = None;
                continue;
            }
        };
        if received == 0 {
            return;
        }
        metrics::histogram!("myelin_log_batch_items").record(received as f64);
        let started = Instant::now();
        write(&mut target, std::mem::take(&mut items)).await;
        metrics::histogram!("myelin_log_batch_seconds").record(started.elapsed().as_secs_f64());
    }
}

/// Write a batch; one that the database refuses is repeated item by item, so that one bad item harms no other.
async fn write(target: &mut Target, items: Vec<Item>) {
    if let Err((error, items)) = try_write(target, items).await {
        if items.len() > 1 {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "a batch was refused; writing its items one by one"
            );
            for item in items {
                if let Err((error, items)) = try_write(target, vec![item]).await {
                    fail(items, error);
                }
            }
        } else {
            fail(items, error);
        }
    }
}

fn fail(items: Vec<Item>, error: StorageError) {
    let error = Arc::new(error);
    for item in items {
        let error = AppendError::Storage(Arc::clone(&error));
        // Who asked may have gone away.
        match item {
            Item::Append(_, answer) => drop(answer.send(Err(error))),
            Item::Receipt(_, answer) => drop(answer.send(Err(error))),
        }
    }
}

async fn try_write(target: &mut Target, items: Vec<Item>) -> Result<(), (StorageError, Vec<Item>)> {
    let _writing = target.log.begin_write();
    let mut batch = Batch::default();
    let (mut appends, mut receipts) = (Vec::new(), Receipts::default());
    for item in items {
        match item {
            Item::Append(append, answer) => {
                batch.appends.push(*append);
                appends.push(answer);
            }
            Item::Receipt(receipt, answer) => receipts.add(receipt, answer),
        }
    }
    batch.receipts = receipts.newest;

    let mut attempt = 1;
    let outcome = loop {
        let written = match target.line.connection().await {
            Ok(connection) => batch.write(connection).await,
            Err(error) => Err((error, batch)),
        };
        match written {
            Ok(outcome) => break outcome,
            // Not known whether it was committed: what stands in the log already is refused when it is repeated.
            Err((error, unwritten)) if is_connection_failure(&error) && attempt < ATTEMPTS_MAX => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    attempt,
                    "could not write; trying again"
                );
                attempt += 1;
                batch = unwritten;
                target.line.cut();
                tokio::time::sleep(Duration::from_millis(RETRY_MILLIS)).await;
            }
            Err((error, unwritten)) => {
                let appends = unwritten.appends.into_iter().zip(appends);
                let items =
                    appends.map(|(append, answer)| Item::Append(Box::new(append), answer)).chain(
                        receipts
                            .answers
                            .into_iter()
                            .map(|(receipt, answer)| Item::Receipt(receipt, answer)),
                    );
                return Err((error, items.collect()));
            }
        }
    };

    let answers = appends.into_iter().zip(&outcome.appended).map(|(answer, range)| {
        let appended =
            range.clone().map(|range| appended(outcome.entries.get(range).unwrap_or_default()));
        (answer, appended)
    });
    let answers: Vec<_> = answers.collect();
    let receipts = receipts.answers;
    let (heads, new_rooms) = (Arc::clone(&target.heads), outcome.new_rooms);
    let (applied, end) = (target.log.watch(), outcome.entries.last().map(|entry| entry.pos));
    let then = Box::new(move || {
        // Where the log has gone on already, the heads may have, too.
        if Some(*applied.borrow()) == end {
            new_rooms.into_values().for_each(|head| heads.adopt(head));
        }
        for (answer, appended) in answers {
            drop(answer.send(appended.ok_or(AppendError::Conflict)));
        }
        for (_, answer) in receipts {
            drop(answer.send(Ok(())));
        }
    });
    // When the log has stopped, the answers are dropped and read as `Stopping`.
    drop(target.log.feed(Feed { entries: outcome.entries, then }));
    Ok(())
}

/// The receipts of a batch: the newest of each kind is written, all are answered.
#[derive(Default)]
struct Receipts {
    newest: Vec<NewReceipt>,
    answers: Vec<(NewReceipt, Answer<()>)>,
    places: HashMap<(i64, String, Box<str>, Box<str>), usize>,
}

impl Receipts {
    fn add(&mut self, receipt: NewReceipt, answer: Answer<()>) {
        let key = (
            receipt.room_nid.0,
            receipt.user_id.to_string(),
            receipt.receipt_type.clone(),
            receipt.thread_id.clone(),
        );
        match self.places.get(&key).and_then(|at| self.newest.get_mut(*at)) {
            Some(known) if known.event_pos < receipt.event_pos => *known = receipt.clone(),
            Some(_) => {}
            None => {
                self.places.insert(key, self.newest.len());
                self.newest.push(receipt.clone());
            }
        }
        self.answers.push((receipt, answer));
    }
}

fn appended(entries: &[Arc<LogEntry>]) -> Appended {
    let events = entries.iter().filter_map(|entry| match &entry.change {
        Change::Event(event) => Some(Arc::clone(event)),
        _ => None,
    });
    Appended {
        events: events.collect(),
        pos: entries.last().map_or(StreamPos::ZERO, |entry| entry.pos),
    }
}

/// Whether the database may come back: it restarts, or the connection broke.
fn is_connection_failure(error: &StorageError) -> bool {
    match error {
        StorageError::Driver(
            sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::Protocol(_),
        ) => true,
        // 57P01 to 57P03: shut down by an admin, crashed, starting up. 08: connection exceptions.
        StorageError::Driver(sqlx::Error::Database(error)) => {
            error.code().is_some_and(|code| code.starts_with("57P0") || code.starts_with("08"))
        }
        _ => false,
    }
}
