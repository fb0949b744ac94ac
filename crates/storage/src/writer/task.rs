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

use super::{
    Append, AppendError, Appended, NewReceipt, SentToDevice,
    batch::{Answer, Batch},
    outcome::Outcome,
};
use crate::{
    StorageError,
    heads::Heads,
    log::{Feed, Log, LogEntry},
    state::WholeStates,
};

/// The number of items that may wait for the next batch. Beyond it senders wait: the database cannot keep up.
const QUEUE_ITEMS_MAX: usize = 4_096;

/// The number of items that one batch takes.
const BATCH_ITEMS_MAX: usize = 512;

/// The time without a write after which the writer's connection goes back to the pool.
const IDLE: Duration = Duration::from_millis(500);

/// The number of times that a batch is tried while the database cannot be reached.
const ATTEMPTS_MAX: u32 = 20;

/// The time to wait between the attempts.
const RETRY_MILLIS: u64 = 250;

type Reply<T> = oneshot::Sender<Result<T, AppendError>>;

enum Item {
    Append(Box<Append>, Reply<Appended>),
    Receipt(NewReceipt, Reply<()>),
    /// A request, and everybody who waits for it: a client may have sent it twice.
    ToDevice(Box<SentToDevice>, Vec<Reply<()>>),
}

/// The group-commit writer of this node. It is cheap to clone.
#[derive(Debug, Clone)]
pub struct Writer {
    queue: mpsc::Sender<Item>,
    whole_states: Arc<WholeStates>,
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
        whole_states: Arc<WholeStates>,
        stop: CancellationToken,
    ) -> Self {
        let (queue, queued) = mpsc::channel(QUEUE_ITEMS_MAX);
        tokio::spawn(run(
            Target { connection: OwnConnection { pool, open: None }, log, heads },
            queued,
            stop,
        ));
        Self { queue, whole_states }
    }

    /// Append events; returns when they are flushed and applied on this node.
    pub async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        self.queue(append).await?.wait().await
    }

    /// Put an append into the queue. Items of one room must be queued in the order in which they build upon each other; so hold
    /// the room's lock for this call, and not for [`Queued::wait`].
    pub async fn queue(&self, append: Append) -> Result<Queued, AppendError> {
        append.snapshots.iter().for_each(|snapshot| self.whole_states.keep(snapshot));
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

    /// Store messages to devices; returns when they are flushed and their devices are woken on this node. A request whose
    /// transaction is known already changes nothing.
    pub async fn send_to_device(&self, sent: SentToDevice) -> Result<(), AppendError> {
        let (answer, answered) = oneshot::channel();
        self.queue
            .send(Item::ToDevice(Box::new(sent), vec![answer]))
            .await
            .map_err(|_| stopping())?;
        answered.await.unwrap_or_else(|_| Err(stopping()))
    }
}

fn stopping() -> AppendError {
    AppendError::Storage(Arc::new(StorageError::Stopping))
}

/// The writer's connection. It is the writer's own: so a batch does not wait while others read, and the database is not asked
/// after each batch whether the connection is still good, as the pool does when it gets one back.
struct OwnConnection {
    pool: PgPool,
    open: Option<PoolConnection<Postgres>>,
}

impl OwnConnection {
    async fn get(&mut self) -> Result<&mut PgConnection, StorageError> {
        let open = match self.open.take() {
            Some(open) => open,
            None => self.pool.acquire().await?,
        };
        Ok(self.open.insert(open))
    }

    /// Forget a connection that broke.
    fn drop_broken(&mut self) {
        if let Some(open) = self.open.take() {
            drop(open.detach());
        }
    }
}

/// The connections that batches are written over.
struct Target {
    connection: OwnConnection,
    log: Log,
    heads: Arc<Heads>,
}

async fn run(mut target: Target, mut queued: mpsc::Receiver<Item>, stop: CancellationToken) {
    let mut items = Vec::with_capacity(BATCH_ITEMS_MAX);
    let mut closed = pin!(target.connection.pool.close_event());
    loop {
        let received = tokio::select! {
            biased;
            received = queued.recv_many(&mut items, BATCH_ITEMS_MAX) => received,
            () = stop.cancelled() => return,
            // Who closes the pool waits for our connection.
            () = &mut closed => return,
            () = tokio::time::sleep(IDLE), if target.connection.open.is_some() => {
                target.connection.open = None;
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
            Item::ToDevice(_, answers) => {
                for answer in answers {
                    drop(answer.send(Err(error.clone())));
                }
            }
        }
    }
}

async fn try_write(target: &mut Target, items: Vec<Item>) -> Result<(), (StorageError, Vec<Item>)> {
    let _writing = target.log.begin_write();
    let mut batch = Batch::default();
    let (mut appends, mut receipts) = (Vec::new(), Receipts::default());
    let mut requests = Requests::default();
    for item in items {
        match item {
            Item::Append(append, answer) => {
                batch.appends.push(*append);
                appends.push(answer);
            }
            Item::Receipt(receipt, answer) => receipts.add(receipt, answer),
            Item::ToDevice(sent, answers) => requests.add(*sent, answers),
        }
    }
    batch.receipts = receipts.newest;
    batch.to_device = requests.sent;

    let answer = match write_patiently(&mut target.connection, &batch).await {
        Ok(answer) => answer,
        Err(error) => {
            let appends = batch.appends.into_iter().zip(appends);
            let appends = appends.map(|(append, answer)| Item::Append(Box::new(append), answer));
            let receipts = receipts.answers.into_iter();
            let receipts = receipts.map(|(receipt, answer)| Item::Receipt(receipt, answer));
            let requests = batch.to_device.into_iter().zip(requests.answers);
            let requests = requests.map(|(sent, answers)| Item::ToDevice(Box::new(sent), answers));
            return Err((error, appends.chain(receipts).chain(requests).collect()));
        }
    };
    let outcome = Outcome::new(batch, &answer);

    let answers = appends.into_iter().zip(&outcome.appended).map(|(answer, range)| {
        let appended =
            range.clone().map(|range| appended(outcome.entries.get(range).unwrap_or_default()));
        (answer, appended)
    });
    let answers: Vec<_> = answers.collect();
    let (receipts, requests) = (receipts.answers, requests.answers);
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
        for answer in requests.into_iter().flatten() {
            drop(answer.send(Ok(())));
        }
    });
    // When the log has stopped, the answers are dropped and read as `Stopping`.
    drop(target.log.feed(Feed { entries: outcome.entries, then }));
    Ok(())
}

/// Write a batch, again and again while the database cannot be reached. It is not known then whether it was committed: what stands in
/// the log already is refused when it is repeated.
async fn write_patiently(
    connection: &mut OwnConnection,
    batch: &Batch,
) -> Result<Answer, StorageError> {
    let mut attempt = 1;
    loop {
        let written = match connection.get().await {
            Ok(connection) => batch.write(connection).await,
            Err(error) => Err(error),
        };
        match written {
            Err(error)
                if (error.is_connection_failure() || error.is_lock_timeout())
                    && attempt < ATTEMPTS_MAX =>
            {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    attempt,
                    "could not write; trying again"
                );
                attempt += 1;
                connection.drop_broken();
                tokio::time::sleep(Duration::from_millis(RETRY_MILLIS)).await;
            }
            result => return result,
        }
    }
}

/// The receipts of a batch: the newest of each kind is written, all are answered.
#[derive(Default)]
struct Receipts {
    newest: Vec<NewReceipt>,
    answers: Vec<(NewReceipt, Reply<()>)>,
    places: HashMap<(i64, String, Box<str>, Box<str>), usize>,
}

impl Receipts {
    fn add(&mut self, receipt: NewReceipt, answer: Reply<()>) {
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

/// The requests of a batch that send to devices: each transaction once, and everybody who waits for it.
#[derive(Default)]
struct Requests {
    sent: Vec<SentToDevice>,
    answers: Vec<Vec<Reply<()>>>,
    places: HashMap<[Box<str>; 4], usize>,
}

impl Requests {
    fn add(&mut self, sent: SentToDevice, answers: Vec<Reply<()>>) {
        let key = [
            sent.sender.as_str().into(),
            sent.device_id.clone(),
            sent.event_type.clone(),
            sent.txn_id.clone(),
        ];
        if let Some(known) = self.places.get(&key).and_then(|at| self.answers.get_mut(*at)) {
            known.extend(answers);
            return;
        }
        self.places.insert(key, self.sent.len());
        self.sent.push(sent);
        self.answers.push(answers);
    }
}

fn appended(entries: &[Arc<LogEntry>]) -> Appended {
    Appended {
        events: entries.iter().filter_map(|entry| entry.change.as_event()).cloned().collect(),
        pos: entries.last().map_or(StreamPos::ZERO, |entry| entry.pos),
    }
}
