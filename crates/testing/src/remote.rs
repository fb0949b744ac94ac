//! Other servers: they build and sign events upon whatever events they like.

use std::collections::BTreeMap;

use myelin_events::{
    NewEvent, Pdu, PublicKey, PublicKeys, RoomVersion, SigningKey,
    auth::auth_types_for,
    canonical::to_canonical,
    verify::{add_signature, content_hash},
};
use ruma::{OwnedEventId, OwnedRoomId, ServerName, UserId};
use serde_json::{Value, json};

use crate::{Graph, NamedState};

/// An event that another server sends.
#[derive(Debug, Clone)]
pub struct Remote<'a> {
    /// The sender, whose server signs.
    pub sender: &'a str,
    pub event_type: &'a str,
    /// The state key, for state.
    pub state_key: Option<&'a str>,
    pub content: Value,
    /// The event that it redacts.
    pub redacts: Option<OwnedEventId>,
    /// The events before it.
    pub prev_events: Vec<OwnedEventId>,
    /// The events that it cites. `None`: what the state before it has.
    pub auth_events: Option<Vec<OwnedEventId>>,
    /// The time of sending, in milliseconds since the Unix epoch.
    pub origin_server_ts: u64,
}

impl<'a> Remote<'a> {
    /// A message.
    pub fn message(sender: &'a str, body: &str, prev_events: &[OwnedEventId]) -> Self {
        Self {
            sender,
            event_type: "m.room.message",
            state_key: None,
            content: json!({"msgtype": "m.text", "body": body}),
            redacts: None,
            prev_events: prev_events.to_vec(),
            auth_events: None,
            origin_server_ts: 1_700_000_000_000,
        }
    }

    /// A state event.
    pub fn state(
        sender: &'a str,
        event_type: &'a str,
        state_key: &'a str,
        content: Value,
        prev_events: &[OwnedEventId],
    ) -> Self {
        let message = Self::message(sender, "", prev_events);
        Self { event_type, state_key: Some(state_key), content, ..message }
    }

    /// A member event.
    pub fn member(
        sender: &'a str,
        user_id: &'a str,
        membership: &str,
        prev_events: &[OwnedEventId],
    ) -> Self {
        Self::state(
            sender,
            "m.room.member",
            user_id,
            json!({"membership": membership}),
            prev_events,
        )
    }

    /// A redaction.
    pub fn redaction(
        sender: &'a str,
        redacts: &OwnedEventId,
        prev_events: &[OwnedEventId],
    ) -> Self {
        let message = Self::message(sender, "", prev_events);
        Self {
            event_type: "m.room.redaction",
            content: json!({}),
            redacts: Some(redacts.clone()),
            ..message
        }
    }

    /// Cite other events than those that entitle it.
    #[must_use]
    pub fn citing(self, auth_events: &[OwnedEventId]) -> Self {
        Self { auth_events: Some(auth_events.to_vec()), ..self }
    }

    /// Sent at another time.
    #[must_use]
    pub fn at(self, origin_server_ts: u64) -> Self {
        Self { origin_server_ts, ..self }
    }

    /// Build and sign the event. The events before it must be in the graph, unless what it cites is given.
    pub fn build(&self, graph: &Graph, room_id: &OwnedRoomId) -> Pdu {
        let sender = <&UserId>::try_from(self.sender).unwrap();
        let content = self.content.to_string();
        let auth_events = match &self.auth_events {
            Some(auth_events) => auth_events.clone(),
            None => {
                let state = graph.state_after(&self.prev_events);
                select(graph, &state, sender, self, &content)
            }
        };
        let depths = self.prev_events.iter().filter_map(|id| Some(graph.get(id)?.depth));
        let new = NewEvent {
            room_id: Some(room_id),
            sender,
            event_type: self.event_type,
            state_key: self.state_key,
            content: &content,
            redacts: self.redacts.as_deref(),
            prev_events: &self.prev_events,
            auth_events: &auth_events,
            reference_hashes: None,
            depth: depths.max().unwrap_or_default() + 1,
            origin_server_ts: self.origin_server_ts,
        };
        let server = sender.server_name();
        new.build(graph.version, server, &server_key(server)).unwrap()
    }
}

/// The state that entitles an event.
fn select(
    graph: &Graph,
    state: &NamedState,
    sender: &UserId,
    new: &Remote<'_>,
    content: &str,
) -> Vec<OwnedEventId> {
    let types = auth_types_for(graph.version, new.event_type, sender, new.state_key, content);
    let types = types.unwrap_or_default().into_iter();
    types.filter_map(|(kind, key)| state.get(&(kind.to_owned(), key)).cloned()).collect()
}

/// Hash and sign anything, in the name of a server.
pub fn sign(version: RoomVersion, server: &str, mut event: Value) -> String {
    let server = <&ServerName>::try_from(server).unwrap();
    event["hashes"] = json!({});
    event["signatures"] = json!({});
    let canonical = |event: &Value| to_canonical(&event.to_string(), false).unwrap();
    event["hashes"]["sha256"] = json!(content_hash(&canonical(&event)).unwrap());
    let pdu = Pdu::parse(canonical(&event), version).unwrap();
    add_signature(&pdu, server, &server_key(server)).unwrap().json().to_owned()
}

/// The key of a server: it follows from the name.
pub fn server_key(server: &ServerName) -> SigningKey {
    let mut seed = [1; 32];
    for (place, byte) in seed.iter_mut().zip(server.as_str().bytes()) {
        *place = byte;
    }
    SigningKey::from_seed(&seed, "1")
}

/// The public keys of servers.
#[derive(Debug, Clone, Default)]
pub struct ServerKeys(BTreeMap<String, BTreeMap<String, PublicKey>>);

impl ServerKeys {
    /// The keys of these servers.
    pub fn of(servers: &[&str]) -> Self {
        let key = |server: &&str| {
            let key = server_key(<&ServerName>::try_from(*server).unwrap());
            let keys = BTreeMap::from([(key.key_id().to_owned(), key.public_key())]);
            ((*server).to_owned(), keys)
        };
        Self(servers.iter().map(key).collect())
    }
}

impl PublicKeys for ServerKeys {
    fn find(&self, server: &str, key_id: &str) -> Option<&PublicKey> {
        self.0.find(server, key_id)
    }
}
