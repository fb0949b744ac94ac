//! The answers of Synapse to odd and random events, as `tests/vectors/generate.py` wrote them down: we agree, but for
//! differences that name what the specification says.

mod auth;
mod graphs;
mod hashes;
mod visibility;

use std::sync::Arc;

use myelin_events::{Pdu, RoomVersion, canonical::to_canonical};
use ruma::{OwnedEventId, OwnedRoomId};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

/// The lines of a file of vectors.
fn lines<T: for<'de> Deserialize<'de>>(name: &str) -> Vec<T> {
    let path = format!("{}/tests/vectors/{name}.jsonl", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// An event written short: others are named by their place in the room.
#[derive(Debug, Deserialize)]
struct Short {
    #[serde(rename = "type")]
    event_type: String,
    state_key: Option<String>,
    sender: String,
    content: Box<RawValue>,
    #[serde(default)]
    prev: Vec<usize>,
    #[serde(default)]
    auth: Vec<usize>,
    depth: Option<i64>,
    ts: Option<u64>,
    redacts: Option<String>,
    id: Option<String>,
    room_id: Option<String>,
}

/// A room read from events written short.
struct ShortRoom {
    version: RoomVersion,
    events: Vec<Arc<Pdu>>,
}

impl ShortRoom {
    fn new(version: RoomVersion, events: &[Short]) -> Self {
        let mut room = Self { version, events: Vec::new() };
        for short in events {
            let event = room.read(short).unwrap();
            room.events.push(Arc::new(event));
        }
        room
    }

    /// Read an event that is not in the room.
    fn read(&self, short: &Short) -> Result<Pdu, String> {
        let pairs = self.version.has_chosen_event_ids();
        let references =
            |places: &[usize]| -> Value {
                let ids = places.iter().map(|place| self.events[*place].event_id.as_str());
                ids.map(|id| {
                    if pairs { serde_json::json!([id, {"sha256": ""}]) } else { Value::from(id) }
                })
                .collect()
            };
        let mut event = serde_json::json!({
            "type": short.event_type, "sender": short.sender, "prev_events": references(&short.prev),
            "auth_events": references(&short.auth), "depth": short.depth.unwrap_or(1),
            "origin_server_ts": short.ts.unwrap_or(1), "hashes": {"sha256": ""}, "signatures": {},
        });
        let is_root = short.event_type == "m.room.create" && self.version.has_hashed_room_ids();
        if let Some(room_id) = &short.room_id {
            event["room_id"] = room_id.as_str().into();
        } else if !is_root {
            event["room_id"] = self.room_id().as_str().into();
        }
        for (key, value) in [("state_key", &short.state_key), ("redacts", &short.redacts)] {
            if let Some(value) = value {
                event[key] = value.as_str().into();
            }
        }
        if pairs {
            let server = short.sender.rsplit_once(':').unwrap().1;
            let chosen = format!("${}:{server}", self.events.len());
            event["event_id"] = short.id.clone().unwrap_or(chosen).into();
        }
        let text = event.to_string();
        // The content goes in as it is written, not by way of a tree.
        let text = format!("{{\"content\":{},{}", short.content.get(), &text[1..]);
        let canonical = to_canonical(&text, self.version.is_json_strict());
        Pdu::from_foreign(&canonical.map_err(|error| error.to_string())?, self.version)
            .map_err(|error| error.to_string())
    }

    fn room_id(&self) -> OwnedRoomId {
        match self.events.first() {
            Some(create) if self.version.has_hashed_room_ids() => create.room_id.clone(),
            _ => "!room:one".try_into().unwrap(),
        }
    }

    fn find(&self, event_type: &str, state_key: &str) -> Option<Arc<Pdu>> {
        self.events.iter().find(|event| event.is_state_of(event_type, state_key)).cloned()
    }

    fn find_by_id(&self, id: &ruma::EventId) -> Option<Arc<Pdu>> {
        self.events.iter().find(|event| event.event_id == id).cloned()
    }

    fn id(&self, place: usize) -> OwnedEventId {
        self.events[place].event_id.clone()
    }
}

/// Collects what differs, and shows all of it at once.
#[derive(Default)]
struct Differences {
    count: usize,
    shown: Vec<String>,
    explained: usize,
}

impl Differences {
    /// Count one answer of ours beside Synapse's. `explained` says whether the difference is one that the specification wants.
    fn compare<T: PartialEq + std::fmt::Debug>(
        &mut self,
        ours: T,
        theirs: T,
        explained: bool,
        what: impl FnOnce() -> String,
    ) {
        self.count += 1;
        if ours == theirs {
            return;
        }
        if explained {
            self.explained += 1;
        } else {
            self.shown.push(format!("we {ours:?}, Synapse {theirs:?}: {}", what()));
        }
    }

    fn finish(self, count_min: usize) {
        println!("{} compared, {} explained", self.count, self.explained);
        assert!(self.shown.is_empty(), "{} differ:\n{}", self.shown.len(), self.shown.join("\n"));
        assert!(self.count >= count_min, "only {} were compared", self.count);
    }
}
