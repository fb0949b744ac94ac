//! The description of a room by its state.

use std::{collections::HashMap, sync::Arc};

use myelin_events::{RoomVersion, auth::JoinRule, client::content_for_clients};
use myelin_model::{Event, EventNid};
use myelin_storage::{RoomHead, StateKey, StorageError};
use ruma::OwnedRoomId;
use serde_json::{Map, Value};

use crate::Rooms;

/// The state events that say what a room is.
const TYPES: [&str; 9] = [
    "m.room.create",
    "m.room.name",
    "m.room.topic",
    "m.room.avatar",
    "m.room.canonical_alias",
    "m.room.join_rules",
    "m.room.history_visibility",
    "m.room.guest_access",
    "m.room.encryption",
];

/// The description of a room for users who are not in it. An empty or absent text is `None`.
#[derive(Debug, Clone)]
pub struct RoomInfo {
    pub room_id: OwnedRoomId,
    pub version: RoomVersion,
    pub name: Option<String>,
    pub topic: Option<String>,
    /// The URI of its picture.
    pub avatar_url: Option<String>,
    pub canonical_alias: Option<String>,
    /// Its join rule; `invite` where it says none.
    pub join_rule: String,
    /// The rooms whose members may join, by a restricted join rule.
    pub allowed_room_ids: Vec<String>,
    /// Its type, `m.space` for example.
    pub room_type: Option<String>,
    /// The algorithm by which it is encrypted. `None`: it is not.
    pub encryption: Option<String>,
    /// Everybody may read it, members or not.
    pub world_readable: bool,
    pub guest_can_join: bool,
    /// The number of users who have joined it.
    pub joined_members: i64,
}

impl RoomInfo {
    /// Whether everybody may join, knock or read. A rule that the room's version does not know lets nobody in.
    pub(super) fn is_open(&self) -> bool {
        let rule = JoinRule::named(&self.join_rule);
        self.world_readable || rule == JoinRule::Public || rule.allows_knock(self.version)
    }

    fn read(
        head: &RoomHead,
        version: RoomVersion,
        contents: &HashMap<&str, Map<String, Value>>,
    ) -> Self {
        let text = |event_type: &str, key: &str| {
            let text = contents.get(event_type)?.get(key)?.as_str()?;
            (!text.is_empty()).then(|| text.to_owned())
        };
        let is = |event_type: &str, key: &str, value: &str| {
            text(event_type, key).is_some_and(|text| text == value)
        };
        let join_rule =
            text("m.room.join_rules", "join_rule").unwrap_or_else(|| "invite".to_owned());
        let allow = contents
            .get("m.room.join_rules")
            .and_then(|content| content.get("allow")?.as_array())
            .filter(|_| matches!(&*join_rule, "restricted" | "knock_restricted"));
        let allowed = allow.into_iter().flatten().filter_map(|allow| {
            (allow.get("type")?.as_str()? == "m.room_membership")
                .then(|| allow.get("room_id")?.as_str().map(ToOwned::to_owned))?
        });
        Self {
            room_id: head.room_id.clone(),
            version,
            name: text("m.room.name", "name"),
            topic: contents.get("m.room.topic").and_then(plain_topic),
            avatar_url: text("m.room.avatar", "url"),
            canonical_alias: text("m.room.canonical_alias", "alias"),
            allowed_room_ids: allowed.collect(),
            join_rule,
            room_type: text("m.room.create", "type"),
            encryption: text("m.room.encryption", "algorithm"),
            world_readable: is("m.room.history_visibility", "history_visibility", "world_readable"),
            guest_can_join: is("m.room.guest_access", "guest_access", "can_join"),
            joined_members: 0,
        }
    }
}

/// The topic as plain text: that of `m.topic`, or else what stands there for clients that do not know it (client-server API,
/// `m.room.topic`).
fn plain_topic(content: &Map<String, Value>) -> Option<String> {
    let topic = content.get("m.topic").and_then(|topic| topic.get("m.text"));
    let texts = topic.and_then(Value::as_array);
    let is_plain = |text: &&Value| {
        text.get("mimetype").is_none_or(|mimetype| mimetype.as_str() == Some("text/plain"))
    };
    let plain = texts.into_iter().flatten().find(is_plain).and_then(|text| text.get("body"));
    let topic = plain.filter(|body| body.is_string()).or_else(|| content.get("topic"));
    topic.and_then(Value::as_str).map(ToOwned::to_owned)
}

impl Rooms {
    /// The descriptions of rooms, in the order given, without member counts. It takes at most two queries.
    pub(super) async fn room_infos(
        &self,
        heads: &[Arc<RoomHead>],
    ) -> Result<Vec<RoomInfo>, StorageError> {
        let keys = TYPES.map(|event_type| StateKey::new(event_type, ""));
        let nids = self.db().state_keys().find_many(&keys).await?;
        let of_head = |head: &RoomHead| -> Vec<(&'static str, EventNid)> {
            TYPES
                .iter()
                .zip(&keys)
                .filter_map(|(event_type, key)| {
                    Some((*event_type, *head.state.get(nids.get(key)?)?))
                })
                .collect()
        };
        let wanted: Vec<EventNid> =
            heads.iter().flat_map(|head| of_head(head)).map(|(_, nid)| nid).collect();
        let events = self.db().events().find_many(&wanted).await?;
        heads
            .iter()
            .map(|head| {
                let version = self.engine().version_of(head)?;
                let contents = of_head(head)
                    .into_iter()
                    .filter_map(|(event_type, nid)| {
                        Some((event_type, content(events.get(&nid)?, version)))
                    })
                    .collect();
                Ok(RoomInfo::read(head, version, &contents))
            })
            .collect()
    }
}

fn content(event: &Event, version: RoomVersion) -> Map<String, Value> {
    serde_json::from_str(&content_for_clients(event, version)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_plain_text_of_a_topic_is_listed() {
        for (content, expect) in [
            (json!({"topic": "old"}), Some("old")),
            (json!({"topic": "old", "m.topic": {"m.text": [{"body": "new"}]}}), Some("new")),
            (
                json!({"topic": "old", "m.topic": {"m.text": [{"mimetype": "text/html", "body": "<b>"},
                    {"mimetype": "text/plain", "body": "new"}]}}),
                Some("new"),
            ),
            (json!({"topic": "old", "m.topic": {"m.text": "junk"}}), Some("old")),
            (json!({"topic": "old", "m.topic": {"m.text": [{"body": 7}]}}), Some("old")),
            (json!({"topic": 7}), None),
        ] {
            let Value::Object(content) = content else { unreachable!() };
            assert_eq!(plain_topic(&content).as_deref(), expect, "{content:?}");
        }
    }
}
