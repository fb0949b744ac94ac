//! Rooms of any size in a database, half of whose state are members.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a bench that cannot go on should stop"
)]

use std::{cell::RefCell, collections::HashMap, str::FromStr, sync::Arc, sync::OnceLock};

use myelin_engine::{Engine, Intent, Outcome, Place, Verdict};
use myelin_events::{Pdu, RoomVersion, SigningKey, received::Received};
use myelin_model::{EventFlags, EventNid, StateKeyNid, SystemClock};
use myelin_storage::{
    Append, Db, Extremity, RoomHead, SnapshotChain, StorageSettings,
    writer::{Arrival, BuiltOn, Known},
};
use myelin_testing::{Graph, Remote, ServerKeys};
use ruma::{OwnedEventId, OwnedRoomId, server_name, user_id};
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool, postgres::PgConnectOptions};
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;

const VERSION: RoomVersion = RoomVersion::V12;
const BOB: &str = "@bob:two.example";

/// Above all numbers that are given out while it runs.
const FIRST_NID: i64 = 1_000_000_000;

/// One thread, which runs all tasks: what holds it up holds up everybody.
pub fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Builder::new_current_thread().enable_all().build().unwrap())
}

fn database() -> String {
    format!("myelin_bench_{}", std::process::id())
}

fn server() -> PgConnectOptions {
    PgConnectOptions::from_str(&std::env::var("DATABASE_URL").unwrap()).unwrap()
}

async fn execute(statement: String) {
    let mut connection = PgConnection::connect_with(&server()).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
}

pub fn drop_database() {
    runtime().block_on(execute(format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", database())));
}

/// A room of this server, and Bob's of another one.
pub struct LargeRoom {
    engine: Engine,
    graph: Graph,
    room_id: OwnedRoomId,
    /// A room of this server, of which nobody else hears.
    beside: OwnedRoomId,
    keys: ServerKeys,
    /// The number of events made so far.
    made: RefCell<u64>,
}

impl LargeRoom {
    /// The room with so many state events. Made once.
    pub fn of(state: usize) -> &'static Self {
        thread_local! {
            static MADE: RefCell<HashMap<usize, &'static LargeRoom>> = RefCell::default();
        }
        MADE.with_borrow_mut(|made| {
            *made
                .entry(state)
                .or_insert_with(|| Box::leak(Box::new(runtime().block_on(Self::make(state)))))
        })
    }

    async fn make(state: usize) -> Self {
        static POOL: tokio::sync::OnceCell<PgPool> = tokio::sync::OnceCell::const_new();
        let open = async || {
            execute(format!("CREATE DATABASE {}", database())).await;
            let pool = PgPool::connect_with(server().database(&database())).await.unwrap();
            Db::migrate(&pool).await.unwrap();
            pool
        };
        let pool = POOL.get_or_init(open).await;
        let engine = node(pool).await;
        let (graph, room_id) = found(&engine).await;
        let (_, beside) = found(&engine).await;
        let keys = ServerKeys::of(&["two.example"]);
        let made = RefCell::default();
        let room = Self { engine, graph, room_id, beside, keys, made };
        room.fill(pool, state).await;
        // A node that has not seen how the room was made.
        Self { engine: node(pool).await, ..room }
    }

    /// Put so much state into the room, past the engine.
    async fn fill(&self, pool: &PgPool, count: usize) {
        let head = self.engine.db().heads().find(&self.room_id).await.unwrap().unwrap();
        let (room, count) = (head.room_nid.0, i64::try_from(count).unwrap());
        let cites = json!(self.cites()).to_string();
        let room_id = &self.room_id;
        sqlx::raw_sql(AssertSqlSafe(format!(
            r#"
            CREATE TEMP TABLE filler AS SELECT {FIRST_NID} + {room} * 1000000 + n AS nid,
                CASE n % 2 WHEN 0 THEN 'm.room.member' ELSE 'org.example.filler' END AS type, '@user' || n || ':two.example' AS who
                FROM generate_series(1, {count}) AS n;
            INSERT INTO state_keys (state_key_nid, event_type, state_key) OVERRIDING SYSTEM VALUE
                SELECT nid, type, who || (nid / 1000000) FROM filler;
            INSERT INTO events (event_nid, room_nid, depth, origin_server_ts, state_key_nid, notify_ordinal, flags, membership, event_id,
                    event_type, sender, json)
                SELECT nid, {room}, 1, 1, nid, 0, 1, CASE type WHEN 'm.room.member' THEN membership_join() END, '$' || nid, type, who,
                    json_build_object('type', type, 'sender', who, 'state_key', who, 'room_id', '{room_id}',
                        'content', json_build_object('membership', 'join'), 'depth', 1, 'origin_server_ts', 1,
                        'prev_events', json_build_array(), 'auth_events', '{cites}'::json)
                FROM filler;
            INSERT INTO auth_chains (event_nid, room_nid, chain_nid, seq) SELECT nid, {room}, nid, 1 FROM filler;
            INSERT INTO auth_chain_links (chain_nid, seq, target_chain_nid, target_seq)
                SELECT nid, 1, c.chain_nid, c.seq FROM filler, auth_chains c WHERE c.room_nid = {room} AND c.event_nid < {FIRST_NID}
                    AND c.seq = (SELECT max(seq) FROM auth_chains l WHERE l.chain_nid = c.chain_nid);
            DROP TABLE filler;
            "#
        )))
        .execute(&mut *pool.acquire().await.unwrap())
        .await
        .unwrap();
        let first = FIRST_NID + room * 1_000_000;
        let nids = first + 1..=first + count;
        let state = nids.map(|nid| (StateKeyNid(nid), EventNid(nid)));
        self.append_with(&head, state).await;
    }

    /// Append a message after which the room has more state.
    async fn append_with(
        &self,
        head: &RoomHead,
        state: impl Iterator<Item = (StateKeyNid, EventNid)>,
    ) {
        let db = self.engine.db();
        let last = db.events().find(head.newest.unwrap()).await.unwrap().unwrap();
        let pdu =
            self.build(Remote::message(BOB, "all are here", std::slice::from_ref(&last.event_id)));
        let (nid, state_nid) =
            (db.nids().next_event().await.unwrap(), db.nids().next_state().await.unwrap());
        let mut new = head.clone();
        new.state.extend(state);
        new.chain = SnapshotChain::default();
        let snapshot = new.chain.extend(state_nid, &[], &new.state);
        new.newest = Some(nid);
        new.extremities = vec![Extremity { nid, event_id: pdu.event_id.clone() }];
        let mut event = myelin_model::Event::clone(&last);
        (event.nid, event.event_id, event.pos) = (nid, pdu.event_id.clone(), None);
        (event.event_type, event.state_key, event.state_key_nid) =
            (pdu.event_type.clone(), None, None);
        (event.membership, event.sender, event.json) =
            (None, pdu.sender.clone(), pdu.json().into());
        (event.state_after, event.flags) = (Some(state_nid), EventFlags::RESOLVED);
        let arrival =
            Arrival { event_nid: nid, event_id: pdu.event_id.clone(), known: Some(Known::Nothing) };
        let append = Append {
            built_on: BuiltOn { state_nid: None, ..BuiltOn::from(head) },
            head: Arc::new(new),
            events: vec![event],
            snapshots: vec![snapshot],
            memberships: Vec::new(),
            departures: Vec::new(),
            arrivals: vec![arrival],
            late_redactions: Vec::new(),
            missing: Vec::new(),
            outside: Vec::new(),
            resets: Vec::new(),
            places: Vec::new(),
            links: Vec::new(),
            now_ms: 1,
        };
        db.writer().append(append).await.unwrap();
    }

    /// The events that entitle Bob.
    fn cites(&self) -> Vec<OwnedEventId> {
        let state = self.graph.state();
        let keys = [("m.room.power_levels", ""), ("m.room.member", BOB)];
        keys.map(|(kind, key)| state[&(kind.to_owned(), key.to_owned())].clone()).to_vec()
    }

    fn build(&self, remote: Remote<'_>) -> Pdu {
        let mut made = self.made.borrow_mut();
        *made += 1;
        remote.citing(&self.cites()).at(*made).build(&self.graph, &self.room_id)
    }

    fn read(&self, pdu: &Pdu) -> Received {
        Received::read(pdu.json(), VERSION, &self.room_id, &self.keys).unwrap()
    }

    fn end(&self) -> Vec<OwnedEventId> {
        let head = runtime().block_on(self.engine.db().heads().find(&self.room_id));
        let head = head.unwrap().unwrap();
        head.extremities.iter().map(|extremity| extremity.event_id.clone()).collect()
    }

    fn topic(&self, after: &[OwnedEventId]) -> Pdu {
        self.build(Remote::state(BOB, "m.room.topic", "", json!({"topic": "x"}), after))
    }

    /// Messages that follow each other and the end of the room.
    pub fn line(&self, count: usize) -> Vec<Received> {
        let mut end = self.end();
        let message = |_| {
            let pdu = self.build(Remote::message(BOB, "hi", &end));
            end = vec![pdu.event_id.clone()];
            self.read(&pdu)
        };
        (0..count).map(message).collect()
    }

    /// State events that all follow the end of the room; every tenth time somebody joins what is there.
    pub fn fork(&self, ways: usize) -> Vec<Received> {
        self.join();
        let end = self.end();
        let mut ends = Vec::new();
        let mut events = Vec::new();
        for _ in 0..ways {
            let pdu = self.topic(&end);
            ends.push(pdu.event_id.clone());
            events.push(self.read(&pdu));
            if ends.len() == 10 {
                let pdu = self.build(Remote::message(BOB, "joined", &ends));
                ends = vec![pdu.event_id.clone()];
                events.push(self.read(&pdu));
            }
        }
        events
    }

    /// Events that follow each other and the end of the room as it was before its topic changed: messages, and after as many of them as
    /// `state_every` says a topic.
    pub fn missed(&self, count: usize, state_every: usize) -> Vec<Received> {
        self.join();
        let mut end = self.end();
        let topic = self.read(&self.topic(&end));
        runtime().block_on(self.receive(&[topic]));
        let event = |number: usize| {
            let pdu = match (number + 1).is_multiple_of(state_every) {
                true => self.topic(&end),
                false => self.build(Remote::message(BOB, "hi", &end)),
            };
            end = vec![pdu.event_id.clone()];
            self.read(&pdu)
        };
        (0..count).map(event).collect()
    }

    /// Join what the last round has left.
    fn join(&self) {
        let end = self.end();
        let pdu = self.build(Remote::message(BOB, "joined", &end));
        runtime().block_on(self.receive(&[self.read(&pdu)]));
    }

    /// Receive events one after the other.
    pub async fn receive(&self, events: &[Received]) {
        for received in events {
            let outcome = self.engine.receive(received, Place::New, &[]).await.unwrap();
            assert_eq!(outcome, Outcome::Judged(Verdict::Appended));
        }
    }

    /// Send a message into the room beside.
    pub async fn send_beside(&self) {
        let mut draft = self.engine.get_draft(&self.beside).await.unwrap();
        let alice = user_id!("@alice:example.org");
        draft
            .add(Intent::message(alice, "m.room.message", r#"{"body":"hi","msgtype":"m.text"}"#))
            .await
            .unwrap();
        draft.append().await.unwrap();
    }
}

async fn node(pool: &PgPool) -> Engine {
    let settings = StorageSettings::default();
    let db =
        Db::open(pool.clone(), pool.clone(), &settings, CancellationToken::new()).await.unwrap();
    let key = Arc::new(SigningKey::from_seed(&[7; 32], "test"));
    Engine::new(db, Arc::new(SystemClock), server_name!("example.org").to_owned(), key)
}

/// Make a public room in which Bob is.
async fn found(engine: &Engine) -> (Graph, OwnedRoomId) {
    let alice = user_id!("@alice:example.org");
    let mut draft = engine.create_draft(VERSION).await.unwrap();
    let create =
        json!({"room_version": VERSION.as_str(), "nonce": rand::random::<u64>().to_string()});
    for (event_type, state_key, content) in [
        ("m.room.create", "", create),
        ("m.room.member", alice.as_str(), json!({"membership": "join"})),
        ("m.room.power_levels", "", json!({"users": {BOB: 50}})),
        ("m.room.join_rules", "", json!({"join_rule": "public"})),
    ] {
        let content = content.to_string();
        draft.add(Intent::state(alice, event_type, state_key, &content)).await.unwrap();
    }
    let room_id = draft.room_id().to_owned();
    let appended = draft.append().await.unwrap();
    let mut graph = Graph::new(VERSION);
    for event in &appended.events {
        let pdu = Pdu::from_stored(event.event_id.clone(), event.json.clone(), VERSION).unwrap();
        graph.take(&pdu).unwrap();
    }
    let end: Vec<OwnedEventId> = graph.extremities().into_iter().collect();
    let join = Remote::member(BOB, BOB, "join", &end).build(&graph, &room_id);
    let keys = ServerKeys::of(&["two.example"]);
    let received = Received::read(join.json(), VERSION, &room_id, &keys).unwrap();
    engine.receive(&received, Place::New, &[]).await.unwrap();
    graph.take(&join).unwrap();
    (graph, room_id)
}
