//! Nodes on one database, and events without rules.

use std::sync::{Arc, OnceLock};

use myelin_model::{Event, EventFlags, StateKeyNid, Transaction};
use myelin_storage::{
    Append, Db, Extremity, LogEntry, LogSubscriber, RoomHead, StorageSettings, writer::BuiltOn,
};
use parking_lot::Mutex;
use ruma::{OwnedEventId, RoomId, RoomVersionId, user_id};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

/// A node.
pub(crate) async fn node(pool: &PgPool) -> Db {
    Db::open(pool.clone(), pool.clone(), &StorageSettings::default(), CancellationToken::new())
        .await
        .unwrap()
}

/// Keeps what the log brings.
#[derive(Default)]
pub(crate) struct Recorder(pub(crate) Mutex<Vec<Arc<LogEntry>>>);

impl LogSubscriber for Recorder {
    fn apply(&self, entries: &[Arc<LogEntry>]) {
        self.0.lock().extend(entries.iter().cloned());
    }
}

/// Record the log of a node.
pub(crate) fn record(db: &Db) -> Arc<Recorder> {
    let recorder = Arc::new(Recorder::default());
    db.log().subscribe(Arc::clone(&recorder) as Arc<dyn LogSubscriber>);
    recorder
}

/// The head of a new room.
pub(crate) async fn new_room(db: &Db, room_id: &RoomId) -> RoomHead {
    RoomHead::new(db.nids().next_room().await.unwrap(), room_id.to_owned(), RoomVersionId::V11)
}

/// The next event of a test.
#[derive(Default)]
pub(crate) struct Next<'a> {
    pub(crate) state_key_nid: Option<StateKeyNid>,
    pub(crate) state_key: Option<&'a str>,
    pub(crate) txn_id: Option<&'a str>,
}

/// An append of one event on `head`, and the head after it.
pub(crate) async fn next_event(db: &Db, head: &RoomHead, next: Next<'_>) -> (Append, RoomHead) {
    let nid = db.nids().next_event().await.unwrap();
    let event_id: OwnedEventId = format!("$event{nid}:example.org").try_into().unwrap();
    let mut new = head.clone();
    let prev_events: Vec<_> = head.extremities.iter().map(|one| one.event_id.clone()).collect();
    let mut snapshots = Vec::new();
    let before = head.chain.state_nid();
    let replaces = next.state_key_nid.and_then(|key| head.state.get(&key).copied());
    if let Some(key) = next.state_key_nid {
        new.state.insert(key, nid);
        let state_nid = db.nids().next_state().await.unwrap();
        snapshots.push(new.chain.extend(state_nid, &[(key, Some(nid))], &new.state));
    }
    new.newest = Some(nid);
    new.depth += 1;
    new.extremities = vec![Extremity { nid, event_id: event_id.clone() }];
    new.notify_ordinal += 1;
    let event = Event {
        nid,
        room_nid: head.room_nid,
        room_id: head.room_id.clone(),
        pos: None,
        event_id,
        event_type: "org.example.test".into(),
        state_key: next.state_key.map(Into::into),
        state_key_nid: next.state_key_nid,
        sender: user_id!("@alice:example.org").to_owned(),
        origin_server_ts: 1_700_000_000_000,
        depth: new.depth,
        membership: None,
        state_before: before,
        state_after: new.chain.state_nid(),
        replaces,
        redacts: None,
        redacted_by: None,
        flags: EventFlags::LINEAR,
        notify_ordinal: new.notify_ordinal,
        transaction: next.txn_id.map(|id| Transaction {
            device_id: "DEVICE".into(),
            path: "m.room.message".into(),
            txn_id: id.into(),
        }),
        json: serde_json::json!({"n": nid.0, "prev_events": prev_events}).to_string().into(),
        client_json: OnceLock::new(),
    };
    let append = Append {
        built_on: BuiltOn::from(head),
        head: Arc::new(new.clone()),
        events: vec![event],
        snapshots,
        memberships: vec![],
        departures: vec![],
        arrivals: vec![],
        late_redactions: vec![],
        missing: vec![],
        outside: vec![],
        resets: vec![],
        places: vec![],
        links: vec![],
        now_ms: 1_700_000_000_000,
    };
    (append, new)
}
