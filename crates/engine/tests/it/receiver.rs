//! A node in a process of its own, which can be killed: this test binary, started anew. It is told over its input what to receive, and
//! answers over its output.

use std::{process::Stdio, str::FromStr, time::Duration};

use myelin_engine::Place;
use myelin_events::{Pdu, RoomVersion, received::Received};
use myelin_testing::{Judged, ServerKeys};
use ruma::OwnedRoomId;
use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

use crate::{
    fixture::{eventually, node},
    world::{SERVERS, World, judged},
};

/// Names the database that the process is a node on.
const DATABASE: &str = "MYELIN_RECEIVER_DATABASE";

/// The name under which the process connects to the database.
const APPLICATION: &str = "myelin-receiver";

/// Begins a line of the process's output that is an answer: the test harness writes there, too.
const ANSWER: &str = "received: ";

/// The connections of the process to the database.
const CONNECTIONS_MAX: u32 = 4;

/// A node in a process of its own.
pub(crate) struct Receiver {
    process: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    /// The room version and the room, as each line to the process begins.
    room: String,
}

impl Receiver {
    /// Start a node on the database of a pool, for one room.
    pub(crate) async fn start(pool: &PgPool, world: &World) -> Self {
        let database = pool.connect_options().get_database().unwrap().to_owned();
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "receiver::a_node_receives_what_it_is_told", "--nocapture"])
            .env(DATABASE, database)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let input = process.stdin.take().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap()).lines();
        let room = format!("{} {}", world.graph.version.as_str(), world.room_id);
        let mut receiver = Self { process, input, output, room };
        receiver.answer().await;
        receiver
    }

    /// Hand an event to the node.
    pub(crate) async fn hand(&mut self, pdu: &Pdu) -> Option<Judged> {
        self.tell(pdu).await;
        let answer = self.answer().await;
        let all = [Judged::Accepted, Judged::SoftFailed, Judged::Rejected];
        all.into_iter().find(|judged| format!("{judged:?}") == answer)
    }

    /// The next answer. The first one says that the node is there.
    async fn answer(&mut self) -> String {
        loop {
            let line = self.output.next_line().await.unwrap().unwrap();
            // The harness begins a line that it does not end.
            if let Some((_, answer)) = line.split_once(ANSWER) {
                return answer.to_owned();
            }
        }
    }

    /// Hand an event to the node, and kill the node some time later, with SIGKILL. Returns when nothing of the node is left in the database.
    pub(crate) async fn kill_while_receiving(mut self, pool: &PgPool, pdu: &Pdu, after: Duration) {
        self.tell(pdu).await;
        tokio::time::sleep(after).await;
        self.process.kill().await.unwrap();
        eventually(async || {
            // What was sent may still be done.
            let left: i64 = sqlx::query_scalar(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = $1",
            )
            .bind(APPLICATION)
            .fetch_one(pool)
            .await
            .unwrap();
            left == 0
        })
        .await;
    }

    async fn tell(&mut self, pdu: &Pdu) {
        let line = format!("{} {}\n", self.room, pdu.json());
        self.input.write_all(line.as_bytes()).await.unwrap();
    }
}

/// The process that [`Receiver::start`] starts does this. Nothing is to be done in a run of the tests itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_receives_what_it_is_told() {
    let Ok(database) = std::env::var(DATABASE) else { return };
    let options = PgConnectOptions::from_str(&std::env::var("DATABASE_URL").unwrap()).unwrap();
    let options = options.database(&database).application_name(APPLICATION);
    let pool = PgPoolOptions::new().max_connections(CONNECTIONS_MAX);
    let engine = node(&pool.connect_with(options).await.unwrap()).await;
    let keys = ServerKeys::of(&SERVERS);
    println!("{ANSWER}");
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        let mut parts = line.splitn(3, ' ');
        let version: RoomVersion = parts.next().unwrap().parse().unwrap();
        let room_id = OwnedRoomId::try_from(parts.next().unwrap()).unwrap();
        let received = Received::read(parts.next().unwrap(), version, &room_id, &keys).unwrap();
        let outcome = engine.receive(&received, Place::New, &[]).await.unwrap();
        let answer = judged(&outcome).map(|judged| format!("{judged:?}")).unwrap_or_default();
        println!("{ANSWER}{answer}");
    }
}
