//! Stories about `/sync`.

mod beside;
mod budgets;
mod filters;
mod hidden_state;
mod left;
mod members;
mod nodes;
mod revoked;
mod rooms;
mod tokens;
mod unread;
mod waiting;

use std::sync::atomic::{AtomicU64, Ordering};

use myelin_testing::{TestResponse, TestServer, TestUser};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::test_server;

/// A server and its users.
pub(super) struct Story {
    pub(super) server: TestServer,
    pub(super) alice: TestUser,
    pub(super) bob: TestUser,
    txn: AtomicU64,
}

impl Story {
    pub(super) async fn begin(pool: PgPool) -> Self {
        let server = test_server::open(pool).await;
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        Self { server, alice, bob, txn: AtomicU64::new(0) }
    }

    /// Make a room.
    pub(super) async fn create(&self, user: &TestUser, options: Value) -> String {
        let answer = self.server.post("/_matrix/client/v3/createRoom", Some(user), options).await;
        answer.ok()["room_id"].as_str().unwrap().to_owned()
    }

    /// A public room of Alice's that Bob is in.
    pub(super) async fn shared(&self) -> String {
        let room = self.create(&self.alice, json!({"preset": "public_chat"})).await;
        self.act(&self.bob, &room, "join", json!({})).await;
        room
    }

    /// Join, leave, invite and so on.
    pub(super) async fn act(&self, user: &TestUser, room: &str, what: &str, body: Value) {
        let path = format!("/_matrix/client/v3/rooms/{room}/{what}");
        self.server.post(&path, Some(user), body).await.ok();
    }

    /// Send a text: the event ID.
    pub(super) async fn say(&self, user: &TestUser, room: &str, body: &str) -> String {
        self.send(user, room, json!({"msgtype": "m.text", "body": body})).await
    }

    /// Send a message: the event ID.
    pub(super) async fn send(&self, user: &TestUser, room: &str, content: Value) -> String {
        let txn = self.txn.fetch_add(1, Ordering::Relaxed);
        let path = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/t{txn}");
        let answer = self.server.put(&path, Some(user), content).await.ok();
        answer["event_id"].as_str().unwrap().to_owned()
    }

    /// Set state, and give the ID of the event.
    pub(super) async fn set(
        &self,
        user: &TestUser,
        room: &str,
        event_type: &str,
        content: Value,
    ) -> String {
        let path = format!("/_matrix/client/v3/rooms/{room}/state/{event_type}/");
        let answer = self.server.put(&path, Some(user), content).await.ok();
        answer["event_id"].as_str().unwrap().to_owned()
    }

    /// Sync, with the parameters given.
    pub(super) async fn try_sync(&self, user: &TestUser, query: &[(&str, &str)]) -> TestResponse {
        sync_at(&self.server, user, query).await
    }

    /// Sync, with the parameters given: the answer.
    pub(super) async fn sync(&self, user: &TestUser, query: &[(&str, &str)]) -> Value {
        self.try_sync(user, query).await.ok()
    }

    /// A token for now.
    pub(super) async fn now(&self, user: &TestUser) -> String {
        token(&self.sync(user, &[]).await)
    }
}

/// Sync with one of several nodes.
pub(super) async fn sync_at(
    server: &TestServer,
    user: &TestUser,
    query: &[(&str, &str)],
) -> TestResponse {
    let query = serde_json::to_value(query).unwrap();
    let pairs: Vec<String> = query
        .as_array()
        .unwrap()
        .iter()
        .map(|pair| format!("{}={}", pair[0].as_str().unwrap(), encode(pair[1].as_str().unwrap())))
        .collect();
    server.get(&format!("/_matrix/client/v3/sync?{}", pairs.join("&")), Some(user)).await
}

fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

/// The token from which the client goes on.
pub(super) fn token(answer: &Value) -> String {
    answer["next_batch"].as_str().unwrap().to_owned()
}

/// A room's part of an answer.
pub(super) fn joined<'v>(answer: &'v Value, room: &str) -> &'v Value {
    &answer["rooms"]["join"][room]
}

/// One thing of each event: its body, or its type.
pub(super) fn said(section: &Value) -> Vec<String> {
    let events = section["events"].as_array().cloned().unwrap_or_default();
    let name = |event: &Value| {
        let body = event["content"]["body"].as_str();
        body.or(event["type"].as_str()).unwrap_or_default().to_owned()
    };
    events.iter().map(name).collect()
}

/// Type and state key of each event, sorted.
pub(super) fn keys(section: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut keys: Vec<_> = section["events"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|event| (text(&event["type"]), text(&event["state_key"])))
        .collect();
    keys.sort_unstable();
    keys
}
