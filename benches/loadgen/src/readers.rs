//! Users that wait in `/sync` all the time, as clients do.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::task::JoinHandle;

use crate::{
    client::{Client, escape},
    delivery::{Board, Seen},
    fixture::{Fixture, User},
    outcome::Errors,
    scan,
};

/// The time that one `/sync` waits, as clients have it.
const SYNC_TIMEOUT_MS: u64 = 30_000;

/// The number of readers that begin at once.
const STARTING_CONCURRENCY: usize = 8;

/// One who reads.
pub(crate) struct Reader {
    client: Client,
    token: String,
    /// The node that it asks.
    pub(crate) node: usize,
    since: RefCell<String>,
    pub(crate) seen: RefCell<Seen>,
    /// The latencies of the messages from `measured_from` on.
    pub(crate) latencies: RefCell<Vec<Duration>>,
    /// Answers whose timeline was cut: what is missing before it can be had by `/messages`, so it is not lost.
    pub(crate) limited: Cell<usize>,
    pub(crate) answers: Cell<usize>,
    pub(crate) errors: RefCell<Errors>,
}

/// All who read in a round.
pub(crate) struct Readers {
    pub(crate) list: Vec<Rc<Reader>>,
    tasks: Vec<JoinHandle<()>>,
    /// The first message whose latency counts.
    measured_from: Rc<Cell<usize>>,
}

impl Readers {
    /// Lets the users wait from now on, each on one node, for messages of the board.
    pub(crate) async fn start(
        fixture: &Fixture,
        users: impl Iterator<Item = &User>,
        board: &Rc<Board>,
    ) -> anyhow::Result<Self> {
        let measured_from = Rc::new(Cell::new(usize::MAX));
        let list: Vec<Rc<Reader>> = stream::iter(users.enumerate())
            .map(async |(number, user)| {
                let node = number % fixture.client.nodes();
                let client = fixture.client.pinned(node);
                // What happened before shall not be a part of this round.
                let since = ask_where_the_end_is(&client, &user.token).await?;
                anyhow::Ok(Rc::new(Reader::new(client, user, node, since)))
            })
            .buffered(STARTING_CONCURRENCY)
            .try_collect()
            .await?;
        let tasks = list
            .iter()
            .map(|reader| Rc::clone(reader).read(Rc::clone(board), Rc::clone(&measured_from)))
            .map(tokio::task::spawn_local)
            .collect();
        Ok(Self { list, tasks, measured_from })
    }

    /// Latencies count for messages from this one on.
    pub(crate) fn measure_from(&self, number: usize) {
        self.measured_from.set(number);
    }

    /// Messages that came to somebody.
    pub(crate) fn count_deliveries(&self) -> usize {
        self.list.iter().map(|reader| reader.seen.borrow().count()).sum()
    }

    /// Latencies of all readers for which `which` holds.
    pub(crate) fn latencies(&self, which: impl Fn(&Reader) -> bool) -> Vec<Duration> {
        let chosen = self.list.iter().filter(|reader| which(reader));
        chosen.flat_map(|reader| reader.latencies.borrow().clone()).collect()
    }

    /// Errors of all readers.
    pub(crate) fn errors(&self) -> Errors {
        let mut errors = Errors::default();
        self.list.iter().for_each(|reader| errors.merge(reader.errors.borrow().clone()));
        errors
    }

    /// Sends everybody home.
    pub(crate) fn stop(&self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Reader {
    fn new(client: Client, user: &User, node: usize, since: String) -> Self {
        Self {
            client,
            token: user.token.clone(),
            node,
            since: since.into(),
            seen: RefCell::default(),
            latencies: RefCell::default(),
            limited: Cell::default(),
            answers: Cell::default(),
            errors: RefCell::default(),
        }
    }

    async fn read(self: Rc<Self>, board: Rc<Board>, measured_from: Rc<Cell<usize>>) {
        loop {
            match self.read_once(&board, measured_from.get()).await {
                Ok(()) => self.answers.set(self.answers.get() + 1),
                Err(error) => {
                    self.errors.borrow_mut().add(&error);
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    async fn read_once(&self, board: &Board, measured_from: usize) -> anyhow::Result<()> {
        let path = sync_path(Some(&self.since.borrow()), SYNC_TIMEOUT_MS);
        let answer = self.client.get(&path, &self.token).await?;
        for number in board.list_numbers(&answer) {
            if self.seen.borrow_mut().add(board, number) && number >= measured_from {
                self.latencies.borrow_mut().extend(board.age(number));
            }
        }
        if memchr::memmem::find(&answer, b"\"limited\":true").is_some() {
            self.limited.set(self.limited.get() + 1);
        }
        self.since.replace(scan::get_text(&answer, "next_batch")?);
        Ok(())
    }
}

/// Finds the token from which a `/sync` hears only of what comes from now on. It asks for no rooms: the first `/sync` of
/// a thousand users in large rooms would take many minutes.
async fn ask_where_the_end_is(client: &Client, token: &str) -> anyhow::Result<String> {
    let filter = escape(r#"{"room":{"rooms":[]},"presence":{"types":[]}}"#);
    let path = format!("/_matrix/client/v3/sync?timeout=0&filter={filter}");
    scan::get_text(&client.get(&path, token).await?, "next_batch")
}

/// One `/sync`; gives the next token.
pub(crate) async fn sync(
    client: &Client,
    token: &str,
    since: Option<&str>,
    timeout_ms: u64,
) -> anyhow::Result<String> {
    scan::get_text(&client.get(&sync_path(since, timeout_ms), token).await?, "next_batch")
}

fn sync_path(since: Option<&str>, timeout_ms: u64) -> String {
    let since = since.map(|since| format!("&since={since}")).unwrap_or_default();
    format!("/_matrix/client/v3/sync?timeout={timeout_ms}{since}")
}
