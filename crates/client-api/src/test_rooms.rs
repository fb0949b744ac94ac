//! Rooms for tests, made through the API.

use std::{
    fmt::Write as _,
    sync::atomic::{AtomicUsize, Ordering},
};

use myelin_testing::{TestServer, TestUser};
use serde_json::{Value, json};

/// Percent-encode a part of a path or a query.
pub(crate) fn encode(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(byte.into());
        } else {
            write!(out, "%{byte:02X}").unwrap();
        }
    }
    out
}

/// A room and the server it is on.
pub(crate) struct TestRoom<'a> {
    pub(crate) server: &'a TestServer,
    pub(crate) id: String,
}

impl<'a> TestRoom<'a> {
    pub(crate) async fn create(server: &'a TestServer, user: &TestUser, body: Value) -> Self {
        let created = server.post("/_matrix/client/v3/createRoom", Some(user), body).await.ok();
        Self { server, id: created["room_id"].as_str().unwrap().to_owned() }
    }

    /// A public room with this history visibility.
    pub(crate) async fn visible(server: &'a TestServer, user: &TestUser, visibility: &str) -> Self {
        let visibility = json!({"type": "m.room.history_visibility", "state_key": "",
            "content": {"history_visibility": visibility}});
        let body = json!({"preset": "public_chat", "initial_state": [visibility]});
        Self::create(server, user, body).await
    }

    /// A path below the room.
    pub(crate) fn path(&self, rest: &str) -> String {
        format!("/_matrix/client/v3/rooms/{}/{rest}", encode(&self.id))
    }

    pub(crate) async fn get(&self, rest: &str, user: &TestUser) -> myelin_testing::TestResponse {
        self.server.get(&self.path(rest), Some(user)).await
    }

    pub(crate) async fn join(&self, user: &TestUser) {
        self.server.post(&self.path("join"), Some(user), json!({})).await.ok();
    }

    pub(crate) async fn leave(&self, user: &TestUser) {
        self.server.post(&self.path("leave"), Some(user), json!({})).await.ok();
    }

    pub(crate) async fn invite(&self, user: &TestUser, invited: &TestUser) {
        let body = json!({"user_id": invited.user_id});
        self.server.post(&self.path("invite"), Some(user), body).await.ok();
    }

    /// Send a text and return its event ID.
    pub(crate) async fn text(&self, user: &TestUser, text: &str) -> String {
        self.send(user, "m.room.message", json!({"msgtype": "m.text", "body": text})).await
    }

    pub(crate) async fn send(&self, user: &TestUser, event_type: &str, content: Value) -> String {
        static TRANSACTIONS: AtomicUsize = AtomicUsize::new(0);
        let txn = TRANSACTIONS.fetch_add(1, Ordering::Relaxed);
        let path = self.path(&format!("send/{event_type}/{txn}"));
        let sent = self.server.put(&path, Some(user), content).await.ok();
        sent["event_id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn set_state(&self, user: &TestUser, key: &str, content: Value) -> String {
        let sent =
            self.server.put(&self.path(&format!("state/{key}")), Some(user), content).await.ok();
        sent["event_id"].as_str().unwrap().to_owned()
    }
}

/// The bodies of the messages among events.
pub(crate) fn bodies(events: &Value) -> Vec<&str> {
    events
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|event| event["content"]["body"].as_str())
        .collect()
}
