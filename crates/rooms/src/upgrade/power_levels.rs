//! Power levels across an upgrade.

use ruma::UserId;
use serde_json::{Map, Value};

/// The least level of who was a creator: what who makes a room has where creators have no power of their own.
const CREATOR_LEVEL_MIN: i64 = 100;

/// Levels that are written as strings, as old versions allow, as integers.
pub(super) fn fix(content: Map<String, Value>) -> Map<String, Value> {
    let fixed = content.into_iter().filter_map(|(key, value)| {
        let value = match value {
            Value::Object(levels) => Value::Object(
                levels
                    .into_iter()
                    .filter_map(|(key, level)| Some((key, as_level(&level)?.into())))
                    .collect(),
            ),
            level => match as_level(&level) {
                Some(level) => level.into(),
                None => return None,
            },
        };
        Some((key, value))
    });
    fixed.collect()
}

fn as_level(value: &Value) -> Option<i64> {
    match value {
        Value::Number(level) => level.as_i64(),
        Value::String(level) => level.trim().parse().ok(),
        _ => None,
    }
}

/// The levels of the old room, so that only moderators speak and invite. `None` if that is so already.
pub(super) fn restrict(content: Map<String, Value>) -> Option<Map<String, Value>> {
    let mut content = fix(content);
    let level = |content: &Map<String, Value>, key: &str| {
        content.get(key).and_then(Value::as_i64).unwrap_or_default()
    };
    let restricted = level(&content, "users_default").saturating_add(1).max(50);
    let mut is_changed = false;
    for key in ["invite", "events_default"] {
        if level(&content, key) < restricted {
            content.insert(key.to_owned(), restricted.into());
            is_changed = true;
        }
    }
    is_changed.then_some(content)
}

/// Take users out, who are creators in the new room.
pub(super) fn without_users<'u>(
    content: &mut Map<String, Value>,
    users: impl Iterator<Item = &'u UserId>,
) {
    if let Some(Value::Object(levels)) = content.get_mut("users") {
        for user_id in users {
            levels.remove(user_id.as_str());
        }
    }
}

/// Name users who stood above all levels as creators: they get the highest level that there is, so that nothing that they could do
/// is beyond them.
pub(super) fn name_creators<'u>(
    content: &mut Map<String, Value>,
    creators: impl Iterator<Item = &'u UserId>,
) {
    let levels = |value: &Value| match value {
        Value::Object(levels) => levels.values().filter_map(Value::as_i64).max(),
        level => level.as_i64(),
    };
    let highest = content.values().filter_map(levels).max().unwrap_or_default();
    let level = highest.max(CREATOR_LEVEL_MIN);
    let users = content.entry("users").or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(users) = users {
        users.extend(creators.map(|user_id| (user_id.to_string(), level.into())));
    }
}

/// Give a user the level that all state can be sent with, if it has less. Whether it had less.
pub(super) fn raise(content: &mut Map<String, Value>, user_id: &UserId) -> bool {
    let level = |key: &str, default| content.get(key).and_then(Value::as_i64).unwrap_or(default);
    let events = content.get("events").and_then(Value::as_object);
    let events = events.into_iter().flat_map(|levels| levels.values()).filter_map(Value::as_i64);
    let needed = events.chain([level("state_default", 50), level("ban", 50)]).max().unwrap_or(50);
    let default = level("users_default", 0);
    let users = content.entry("users").or_insert_with(|| Value::Object(Map::new()));
    let Value::Object(users) = users else { return false };
    if users.get(user_id.as_str()).and_then(Value::as_i64).unwrap_or(default) >= needed {
        return false;
    }
    users.insert(user_id.to_string(), needed.into());
    true
}

#[cfg(test)]
mod tests {
    use ruma::user_id;
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(object) => object,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn strings_become_integers() {
        let levels = object(
            json!({"ban": "50", "users": {"@a:h": " 7", "@b:h": 1, "@c:h": "x"}, "kick": null}),
        );
        assert_eq!(fix(levels), object(json!({"ban": 50, "users": {"@a:h": 7, "@b:h": 1}})));
    }

    #[test]
    fn the_old_room_goes_quiet_once() {
        let quiet = restrict(object(json!({"users_default": 60}))).unwrap();
        assert_eq!(quiet, object(json!({"users_default": 60, "invite": 61, "events_default": 61})));
        assert_eq!(restrict(quiet), None);
    }

    #[test]
    fn creators_get_a_level_that_nothing_is_beyond() {
        let creators = || [user_id!("@a:h"), user_id!("@c:h")].into_iter();
        let mut levels =
            object(json!({"users": {"@b:h": 50}, "events": {"m.room.tombstone": 150}}));
        name_creators(&mut levels, creators());
        assert_eq!(levels["users"], json!({"@a:h": 150, "@b:h": 50, "@c:h": 150}));
        let mut levels = object(json!({"ban": 50}));
        name_creators(&mut levels, creators());
        assert_eq!(levels["users"], json!({"@a:h": 100, "@c:h": 100}));
    }

    #[test]
    fn who_upgrades_can_send_all_state() {
        let mut levels = object(json!({"users": {"@a:h": 50}, "events": {"m.room.name": 90}}));
        assert!(raise(&mut levels, user_id!("@a:h")));
        assert_eq!(levels["users"], json!({"@a:h": 90}));
        assert!(!raise(&mut levels, user_id!("@a:h")));
    }
}
