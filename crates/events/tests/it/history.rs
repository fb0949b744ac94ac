//! Random room histories: users who join, kick, ban and fight over levels and topics, on servers that do not always hear each other.

use std::sync::Arc;

use myelin_events::{NewEvent, Pdu, RoomVersion, SigningKey, auth};
use ruma::{OwnedEventId, OwnedRoomId, UserId, room_id, server_name};
use serde_json::{Value, json};

use crate::{room::Room, ruma_twin};

pub const USERS: [&str; 6] =
    ["@alice:one", "@bob:two", "@carol:three", "@dave:four", "@eve:one", "@frank:two"];

/// One attempt: who, what, upon which events, when.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    pub who: u8,
    pub what: u8,
    pub whom: u8,
    pub value: u8,
    pub upon: u8,
    pub when: u8,
}

/// A room that grew by the attempts that the rules allowed.
pub struct History {
    pub room: Room,
    pub room_id: Option<OwnedRoomId>,
    key: SigningKey,
}

impl History {
    pub fn new(version: RoomVersion) -> Self {
        let room_id = (!version.has_hashed_room_ids()).then(|| room_id!("!room:one").to_owned());
        let mut history =
            Self { room: Room::new(version), room_id, key: SigningKey::from_seed(&[3; 32], "k") };
        let alice = USERS[0];
        let create = json!({"creator": alice, "room_version": version, "additional_creators": ["@dave:four"]});
        let mut prev = Vec::new();
        for (event_type, state_key, content) in [
            ("m.room.create", "", create),
            ("m.room.member", alice, json!({"membership": "join"})),
            ("m.room.power_levels", "", first_levels(version)),
            ("m.room.join_rules", "", json!({"join_rule": "public"})),
        ] {
            let made = history.attempt(alice, event_type, Some(state_key), &content, &prev, 0);
            prev = vec![made.expect("the room begins")];
        }
        history
    }

    /// Build an event upon others, and take it if the rules allow it. Our verdict must be ruma's.
    pub fn attempt(
        &mut self,
        sender: &str,
        event_type: &str,
        state_key: Option<&str>,
        content: &Value,
        prev_events: &[OwnedEventId],
        origin_server_ts: u64,
    ) -> Option<OwnedEventId> {
        let version = self.room.version;
        let state = self.room.state_after(prev_events);
        let sender = <&UserId>::try_from(sender).unwrap();
        let content = content.to_string();
        if !self.is_beginning()
            && is_join(event_type, &content)
            && self.room.find(&state, "m.room.join_rules", "").is_none()
        {
            // A resolution may leave no join rules at all. We take that for `invite`, as Synapse does; ruma, which
            // lets nobody join there, cannot be asked.
            return None;
        }
        let types = auth::auth_types_for(version, event_type, sender, state_key, &content).ok()?;
        let auth_events: Vec<OwnedEventId> = types
            .iter()
            .filter_map(|(kind, key)| Some(self.room.find(&state, kind, key)?.event_id.clone()))
            .collect();
        let new = NewEvent {
            room_id: self.room_id.as_deref(),
            sender,
            event_type,
            state_key,
            content: &content,
            redacts: None,
            prev_events,
            auth_events: &auth_events,
            reference_hashes: None,
            depth: prev_events.iter().map(|id| self.event(id).depth).max().unwrap_or(0) + 1,
            origin_server_ts,
        };
        let event = Arc::new(new.build(version, server_name!("one"), &self.key).unwrap());
        self.room.check_auth_events(&event).unwrap();
        let verdict = self.room.check(&state, &event);
        ruma_twin::compare_check(&self.room, &state, &event, &verdict);
        if self.room_id.is_none() {
            self.room_id = Some(event.room_id.clone());
        }
        verdict.ok()?;
        if !self.room.numbers.contains_key(&event.event_id) {
            self.room.push(event.clone(), state);
        }
        Some(event.event_id.clone())
    }

    /// The creator joins before there are join rules.
    fn is_beginning(&self) -> bool {
        self.room.events.len() < 2
    }

    fn event(&self, id: &OwnedEventId) -> &Arc<Pdu> {
        &self.room.events[self.room.numbers[id] as usize]
    }

    pub fn step(&mut self, step: Step) {
        let sender = USERS[usize::from(step.who) % USERS.len()];
        let target = USERS[usize::from(step.whom) % USERS.len()];
        let (event_type, state_key, content) = what(self.room.version, step, sender, target);
        // Upon one or two of the latest events, so that forks come and are mended.
        // The beginning stays without a fork, so that the join rules are below every event.
        let latest = (self.room.events.len() - 3).min(6);
        let pick = |number: usize| {
            self.room.events[self.room.events.len() - 1 - number % latest].event_id.clone()
        };
        let mut prev_events = vec![pick(usize::from(step.upon & 15))];
        let second = pick(usize::from(step.upon >> 4));
        if step.upon >= 128 && !prev_events.contains(&second) {
            prev_events.push(second);
        }
        self.attempt(
            sender,
            event_type,
            Some(state_key),
            &content,
            &prev_events,
            u64::from(step.when % 8) * 10,
        );
    }

    /// The events that no other is built upon.
    pub fn extremities(&self) -> Vec<OwnedEventId> {
        let events = &self.room.events;
        let is_last = |event: &&Arc<Pdu>| {
            !events.iter().any(|other| other.prev_events.contains(&event.event_id))
        };
        events.iter().filter(is_last).map(|event| event.event_id.clone()).collect()
    }
}

fn is_join(event_type: &str, content: &str) -> bool {
    let content: Value = serde_json::from_str(content).unwrap();
    event_type == "m.room.member" && content["membership"] == "join"
}

fn first_levels(version: RoomVersion) -> Value {
    if version.has_hashed_room_ids() {
        json!({"users": {"@bob:two": 100}, "users_default": 0, "invite": 0})
    } else {
        json!({"users": {"@alice:one": 100, "@bob:two": 100}, "users_default": 0, "invite": 0})
    }
}

fn what<'a>(
    version: RoomVersion,
    step: Step,
    sender: &'a str,
    target: &'a str,
) -> (&'static str, &'a str, Value) {
    let level = [0, 0, 25, 50, 50, 75, 100, 101][usize::from(step.value % 8)];
    match step.what % 20 {
        0..=4 => {
            let mut content = json!({"membership": "join"});
            if step.value >= 128 {
                content["join_authorised_via_users_server"] = json!(target);
            }
            ("m.room.member", sender, content)
        }
        5 => ("m.room.member", sender, json!({"membership": "leave"})),
        6 => ("m.room.member", sender, json!({"membership": "knock"})),
        7..=8 => ("m.room.member", target, json!({"membership": "invite"})),
        9..=10 => (
            "m.room.member",
            target,
            json!({"membership": "leave", "reason": "kicked or unbanned"}),
        ),
        11..=12 => ("m.room.member", target, json!({"membership": "ban"})),
        13..=15 => ("m.room.power_levels", "", levels(version, step, target, level)),
        16 => {
            let rules = ["public", "invite", "knock", "restricted", "knock_restricted", "private"];
            (
                "m.room.join_rules",
                "",
                json!({"join_rule": rules[usize::from(step.value) % rules.len()]}),
            )
        }
        17..=18 => ("m.room.topic", "", json!({"topic": step.value})),
        _ => (
            "m.room.aliases",
            ["one", "two"][usize::from(step.value % 2)],
            json!({"aliases": [step.value]}),
        ),
    }
}

fn levels(version: RoomVersion, step: Step, target: &str, level: i64) -> Value {
    let mut content = first_levels(version);
    content["users"][target] = json!(level);
    match step.value / 16 {
        0 => content["events"] = json!({"m.room.topic": level}),
        1 => content["ban"] = json!(level),
        2 => content["kick"] = json!(level),
        3 => content["state_default"] = json!(level),
        4 => content["invite"] = json!(level),
        5 => content["notifications"] = json!({"room": level}),
        6 => content["users_default"] = json!(level / 10),
        // Levels as text are levels up to version 9.
        7 => content["users"][target] = json!(format!(" {level} ")),
        8 => content["events"] = json!({"m.room.topic": level.to_string()}),
        _ => {}
    }
    content
}
