//! The data that users keep of a room that was replaced, carried over to its successor: tags, push rules, and that it
//! is a direct chat.
//!
//! The specification does not ask for it; clients count on it, as Synapse does it. It holds only between rooms that
//! name each other, so that nobody can claim another's room as a predecessor: the create event of the new room names
//! the old one, whose tombstone names the new one.

use std::sync::Arc;

use myelin_engine::Draft;
use myelin_model::{
    Membership, RoomNid,
    limits::{ACCOUNT_DATA_SIZE_BYTES_MAX, PUSH_RULES_SIZE_BYTES_MAX},
};
use myelin_storage::StorageError;
use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId, RoomId};
use serde_json::{Map, Value, json, value::RawValue};

use crate::{EventError, Rooms};

/// The number of users that are read, and written, in one transaction.
const USERS_MAX: usize = 100;

/// Carry over for all members on this server of the room that this one has replaced.
#[tracing::instrument(name = "rooms.upgrade.carry_over", skip_all, fields(successor.id = %new))]
pub(crate) async fn carry_over(rooms: &Rooms, new: &RoomId) -> Result<(), EventError> {
    let Some(mut draft) = rooms.engine().find_draft(new).await? else { return Ok(()) };
    let old = predecessor_of(&mut draft).await?;
    drop(draft);
    let Some(old) = old else { return Ok(()) };
    let Some(pair) = Pair::find(rooms, &old, new).await? else { return Ok(()) };
    let mut members =
        rooms.db().memberships().list_user_ids(pair.old_nid, &[Membership::Join]).await?;
    members.retain(|user_id| rooms.is_local(user_id));
    for users in members.chunks(USERS_MAX) {
        copy(rooms, &pair, users).await?;
    }
    Ok(())
}

/// Carry over for a user who came into the room that replaces another.
#[tracing::instrument(name = "rooms.upgrade.carry_over", skip_all, fields(successor.id = %new, user.id = %user_id))]
pub(crate) async fn carry_over_for(
    rooms: &Rooms,
    new: &RoomId,
    user_id: &OwnedUserId,
) -> Result<(), EventError> {
    let Some(mut draft) = rooms.engine().find_draft(new).await? else { return Ok(()) };
    let old = predecessor_of(&mut draft).await?;
    drop(draft);
    let Some(old) = old else { return Ok(()) };
    match Pair::find(rooms, &old, new).await? {
        Some(pair) => copy(rooms, &pair, std::slice::from_ref(user_id)).await,
        None => Ok(()),
    }
}

/// The room that a room's create event names as the one it replaces.
pub(crate) async fn predecessor_of(draft: &mut Draft) -> Result<Option<OwnedRoomId>, EventError> {
    let create = draft.find_state("m.room.create", "").await?;
    let content: Option<Value> = create.and_then(|event| event.pdu.content_as().ok());
    let named = content.as_ref().and_then(|content| content.get("predecessor")?.get("room_id"));
    Ok(named.and_then(Value::as_str).and_then(|id| id.try_into().ok()))
}

/// The end of a room, as its tombstone tells it.
pub(super) struct Tombstone {
    pub(super) event_id: OwnedEventId,
    pub(super) sender: OwnedUserId,
    /// The time at which it was set, in milliseconds since the epoch.
    pub(super) ts: u64,
    /// The room that it names as the one that replaces the room.
    pub(super) successor: Option<OwnedRoomId>,
}

pub(super) async fn tombstone_of(draft: &mut Draft) -> Result<Option<Tombstone>, EventError> {
    let Some(event) = draft.find_state("m.room.tombstone", "").await? else { return Ok(None) };
    let content: Option<Value> = event.pdu.content_as().ok();
    let named = content.as_ref().and_then(|content| content.get("replacement_room")?.as_str());
    Ok(Some(Tombstone {
        event_id: event.pdu.event_id.clone(),
        sender: event.pdu.sender.clone(),
        ts: u64::try_from(event.pdu.origin_server_ts).unwrap_or(0),
        successor: named.and_then(|id| id.try_into().ok()),
    }))
}

/// Whether each of two rooms names the other one.
pub(super) async fn name_each_other(
    rooms: &Rooms,
    old: &RoomId,
    new: &RoomId,
) -> Result<bool, EventError> {
    Ok(Pair::find(rooms, old, new).await?.is_some())
}

/// Two rooms that name each other.
struct Pair<'a> {
    old: &'a RoomId,
    new: &'a RoomId,
    old_nid: RoomNid,
    new_nid: RoomNid,
}

impl<'a> Pair<'a> {
    /// `None` if one is unknown or does not name the other.
    async fn find(
        rooms: &Rooms,
        old: &'a RoomId,
        new: &'a RoomId,
    ) -> Result<Option<Self>, EventError> {
        // Never two drafts at once: each holds its room's lock.
        let Some(mut draft) = rooms.engine().find_draft(new).await? else { return Ok(None) };
        let new_nid = draft.room_nid();
        if predecessor_of(&mut draft).await?.as_deref() != Some(old) {
            return Ok(None);
        }
        drop(draft);
        let Some(mut draft) = rooms.engine().find_draft(old).await? else { return Ok(None) };
        let old_nid = draft.room_nid();
        let successor = tombstone_of(&mut draft).await?.and_then(|tombstone| tombstone.successor);
        drop(draft);
        Ok((successor.as_deref() == Some(new)).then_some(Self { old, new, old_nid, new_nid }))
    }

    /// The place of the entry that is the counterpart of one about the old room: tags are stored for the new room
    /// itself, other types for all rooms.
    fn place_of(&self, room_nid: Option<RoomNid>) -> Option<RoomNid> {
        room_nid.map(|_| self.new_nid)
    }

    /// The content that takes the place of an entry: `old` is what is kept of the old room, `target` the entry to be
    /// changed. `None` if it stays as it is.
    fn merge(&self, data_type: &str, old: &str, target: Option<&RawValue>) -> Option<Value> {
        let target = target.map(RawValue::get);
        let parse = |json: &str| serde_json::from_str::<Value>(json).ok();
        let (value, size_bytes_max) = match data_type {
            "m.tag" => {
                (merge_tags(&parse(old)?, target.and_then(parse)), ACCOUNT_DATA_SIZE_BYTES_MAX)
            }
            "m.direct" => {
                (merge_direct(self, parse(target.unwrap_or(old))?), ACCOUNT_DATA_SIZE_BYTES_MAX)
            }
            _ => (merge_rules(self, parse(target.unwrap_or(old))?), PUSH_RULES_SIZE_BYTES_MAX),
        };
        value.filter(|value| value.to_string().len() <= size_bytes_max)
    }
}

async fn copy(rooms: &Rooms, pair: &Pair<'_>, users: &[OwnedUserId]) -> Result<(), EventError> {
    let mut entries = rooms.db().account_data().list_about_room(users, pair.old_nid).await?;
    // Most say nothing of this room, and need no lock.
    entries.retain(|(_, entry)| pair.merge(&entry.data_type, &entry.content, None).is_some());
    if entries.is_empty() {
        return Ok(());
    }
    let mut tx = rooms.db().begin().await?;
    for (user_id, entry) in entries {
        let place = pair.place_of(entry.room_nid);
        let current = tx.account_data().find_for_update(&user_id, place, &entry.data_type).await?;
        let merged = pair.merge(&entry.data_type, &entry.content, current.as_deref());
        let Some(merged) = merged else { continue };
        let content: Arc<RawValue> = RawValue::from_string(merged.to_string())
            .map_err(StorageError::foreign("account_data.content"))?
            .into();
        tx.account_data().set(&user_id, place, &entry.data_type, content).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// The tags of the new room with those of the old one. `None` if it has them all.
fn merge_tags(old: &Value, new: Option<Value>) -> Option<Value> {
    let tags_of = |content: &Value| content.get("tags").and_then(Value::as_object).cloned();
    let mut tags: Map<String, Value> = new.as_ref().and_then(tags_of).unwrap_or_default();
    let before = tags.len();
    for (tag, content) in tags_of(old)? {
        tags.entry(tag).or_insert(content);
    }
    (tags.len() > before).then(|| json!({ "tags": tags }))
}

/// The new room stands wherever the old one stands. `None` if it does already.
fn merge_direct(pair: &Pair<'_>, mut direct: Value) -> Option<Value> {
    let mut is_changed = false;
    for list in direct.as_object_mut()?.values_mut().filter_map(Value::as_array_mut) {
        let has = |list: &[Value], id: &RoomId| list.iter().any(|room| room == id.as_str());
        if has(list, pair.old) && !has(list, pair.new) {
            list.push(pair.new.as_str().into());
            is_changed = true;
        }
    }
    is_changed.then_some(direct)
}

/// Rules that are on and name the old room get a twin that names the new one. `None` if there is none to be made.
fn merge_rules(pair: &Pair<'_>, mut stored: Value) -> Option<Value> {
    let mut is_changed = false;
    for (kind, rules) in stored.get_mut("global")?.as_object_mut()? {
        let Some(rules) = rules.as_array_mut() else { continue };
        let is_new = |rule: &Value| rule.get("rule_id") == Some(&pair.new.as_str().into());
        if rules.iter().any(is_new) {
            continue;
        }
        let twin = rules
            .iter()
            .enumerate()
            .find_map(|(place, rule)| twin_of(pair, kind, rule).map(|twin| (place, twin)));
        // One rule a kind: the twins are named by the room, as Synapse names them.
        if let Some((place, twin)) = twin {
            rules.insert(place, twin);
            is_changed = true;
        }
    }
    is_changed.then_some(stored)
}

fn twin_of(pair: &Pair<'_>, kind: &str, rule: &Value) -> Option<Value> {
    if rule.get("enabled") == Some(&Value::Bool(false)) {
        return None;
    }
    let mut twin = rule.as_object()?.clone();
    let mut names_old = kind == "room" && rule.get("rule_id")? == pair.old.as_str();
    let conditions = twin.get_mut("conditions").and_then(Value::as_array_mut);
    for condition in conditions.into_iter().flatten().filter_map(Value::as_object_mut) {
        let is_about_room = condition.get("key").is_some_and(|key| key == "room_id");
        if is_about_room && let Some(pattern) = condition.get_mut("pattern") {
            names_old |= pattern == pair.old.as_str();
            *pattern = pair.new.as_str().into();
        }
    }
    twin.insert("rule_id".to_owned(), pair.new.as_str().into());
    names_old.then_some(Value::Object(twin))
}

#[cfg(test)]
mod tests {
    use ruma::room_id;

    use super::*;

    fn pair() -> Pair<'static> {
        Pair {
            old: room_id!("!old:h"),
            new: room_id!("!new:h"),
            old_nid: RoomNid(1),
            new_nid: RoomNid(2),
        }
    }

    #[test]
    fn direct_chats_and_tags_are_carried_over_once() {
        let direct = json!({"@b:h": ["!old:h", "!x:h"], "@c:h": ["!x:h"], "odd": 1});
        let carried = merge_direct(&pair(), direct).unwrap();
        let expected = json!({"@b:h": ["!old:h", "!x:h", "!new:h"], "@c:h": ["!x:h"], "odd": 1});
        assert_eq!(carried, expected);
        assert_eq!(merge_direct(&pair(), carried), None);

        let old = json!({"tags": {"m.favourite": {"order": 0.1}, "u.x": {}}});
        let new = json!({"tags": {"m.favourite": {"order": 0.9}}});
        let carried = merge_tags(&old, Some(new)).unwrap();
        assert_eq!(carried, json!({"tags": {"m.favourite": {"order": 0.9}, "u.x": {}}}));
        assert_eq!(merge_tags(&old, Some(carried)), None);
    }

    #[test]
    fn rules_about_the_room_get_a_twin() {
        let room =
            |id: &str, enabled: bool| json!({"rule_id": id, "enabled": enabled, "actions": []});
        let mute = |rule_id: &str, id: &str| {
            json!({"rule_id": rule_id, "enabled": true, "actions": [], "conditions": [
                {"kind": "event_match", "key": "room_id", "pattern": id}]})
        };
        let rules =
            |over: &[Value], room: &[Value]| json!({"global": {"override": over, "room": room}});
        let stored = rules(&[mute("mute", "!old:h")], &[room("!x:h", true), room("!old:h", true)]);
        let carried = merge_rules(&pair(), stored).unwrap();
        let expected = rules(
            &[mute("!new:h", "!new:h"), mute("mute", "!old:h")],
            &[room("!x:h", true), room("!new:h", true), room("!old:h", true)],
        );
        assert_eq!(carried, expected);
        assert_eq!(merge_rules(&pair(), carried), None);

        let others = rules(&[mute("!x:h", "!x:h")], &[room("!old:h", false)]);
        assert_eq!(merge_rules(&pair(), others), None);
    }
}
