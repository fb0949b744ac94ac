//! Nodes and rooms.

use std::{sync::Arc, time::Duration};

use myelin_engine::{Engine, EventError, Intent, Refused};
use myelin_events::{RoomVersion, SigningKey};
use myelin_model::SystemClock;
use myelin_storage::{Db, StorageSettings};
use ruma::{EventId, OwnedEventId, OwnedRoomId, RoomId, UserId, server_name, user_id};
use sqlx::{PgPool, Postgres, Transaction};
use tokio_util::sync::CancellationToken;

pub(crate) fn alice() -> &'static UserId {
    user_id!("@alice:example.org")
}

pub(crate) fn bob() -> &'static UserId {
    user_id!("@bob:example.org")
}

/// A node.
pub(crate) async fn node(pool: &PgPool) -> Engine {
    let settings = StorageSettings::default();
    let db =
        Db::open(pool.clone(), pool.clone(), &settings, CancellationToken::new()).await.unwrap();
    Engine::new(
        db,
        Arc::new(SystemClock),
        server_name!("example.org").to_owned(),
        Arc::new(SigningKey::from_seed(&[7; 32], "test")),
    )
}

/// A room of Alice's with a join rule.
pub(crate) async fn room(engine: &Engine, version: RoomVersion, join_rule: &str) -> OwnedRoomId {
    let mut draft = engine.create_draft(version).await.unwrap();
    let create = format!(r#"{{"room_version":"{}","creator":"{}"}}"#, version.as_str(), alice());
    let join_rule = format!(r#"{{"join_rule":"{join_rule}"}}"#);
    for (event_type, state_key, content) in [
        ("m.room.create", "", &*create),
        ("m.room.member", alice().as_str(), r#"{"membership":"join"}"#),
        ("m.room.join_rules", "", &join_rule),
    ] {
        draft.add(Intent::state(alice(), event_type, state_key, content)).await.unwrap();
    }
    let room_id = draft.room_id().to_owned();
    draft.append().await.unwrap();
    room_id
}

/// Send an event.
pub(crate) async fn send(
    engine: &Engine,
    room_id: &RoomId,
    intent: Intent<'_>,
) -> Result<OwnedEventId, EventError> {
    let mut draft = engine.get_draft(room_id).await?;
    let added = draft.add(intent).await?;
    match draft.append().await {
        Ok(_) => Ok(added.event_id),
        Err(Refused::Conflict) => Err(EventError::Busy),
        Err(Refused::Failed(error)) => Err(error),
    }
}

/// Set state in Alice's name.
pub(crate) async fn set(
    engine: &Engine,
    room_id: &RoomId,
    event_type: &str,
    state_key: &str,
    content: &str,
) -> OwnedEventId {
    let intent = Intent::state(alice(), event_type, state_key, content);
    send(engine, room_id, intent).await.unwrap()
}

/// Redact an event in Alice's name.
pub(crate) async fn redact(engine: &Engine, room_id: &RoomId, event_id: &EventId) {
    let intent =
        Intent { redacts: Some(event_id), ..Intent::message(alice(), "m.room.redaction", "{}") };
    send(engine, room_id, intent).await.unwrap();
}

/// The content of state as the engine reads it.
pub(crate) async fn content(engine: &Engine, room_id: &RoomId, event_type: &str) -> Option<String> {
    let mut draft = engine.get_draft(room_id).await.unwrap();
    let event = draft.find_state(event_type, "").await.unwrap();
    event.map(|event| event.pdu.content().to_owned())
}

/// Have nothing flushed until the transaction ends. Reading goes on.
pub(crate) async fn hold_writes(pool: &PgPool) -> Transaction<'static, Postgres> {
    let mut transaction = pool.begin().await.unwrap();
    sqlx::query("LOCK TABLE events IN SHARE MODE").execute(&mut *transaction).await.unwrap();
    transaction
}

/// Wait until something holds, at most five seconds.
pub(crate) async fn eventually(mut holds: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), wait).await.unwrap();
}
