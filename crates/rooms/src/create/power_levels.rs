//! The power levels of new rooms.

use myelin_model::Actor;
use serde_json::{Map, Value, json};

use super::options::{Options, Preset};
use crate::RoomSettings;

/// The content of the first power levels event, where `initial_state` has none.
pub(super) fn content(
    settings: &RoomSettings,
    actor: &Actor,
    options: &Options,
) -> Map<String, Value> {
    let privileges_creators = options.version.auth_rules().explicitly_privilege_room_creators;
    let mut users = Map::new();
    // Creators stand above all levels, and must not be named.
    if !privileges_creators {
        users.insert(actor.user_id.to_string(), 100.into());
        if options.preset == Preset::TrustedPrivateChat {
            for user_id in &options.invite {
                users.insert(user_id.to_string(), 100.into());
            }
        }
    }
    let tombstone = if privileges_creators { 150 } else { 100 };
    let content = json!({
        "users": users,
        "users_default": 0,
        "events": {
            "m.room.name": 50,
            "m.room.power_levels": 100,
            "m.room.history_visibility": 100,
            "m.room.canonical_alias": 50,
            "m.room.avatar": 50,
            "m.room.tombstone": tombstone,
            "m.room.server_acl": 100,
            "m.room.encryption": 100,
        },
        "events_default": 0,
        "state_default": 50,
        "ban": 50,
        "kick": 50,
        "redact": 50,
        "invite": if options.preset == Preset::PublicChat { 50 } else { 0 },
        "historical": 100,
    });
    let mut content = match content {
        Value::Object(content) => content,
        _ => Map::new(),
    };
    if options.preset == Preset::PublicChat
        && let Some(Value::Object(events)) = content.get_mut("events")
    {
        // As in Synapse. While anybody may join, this server lets nobody call: see `EventError::CallInPublicRoom`.
        events.insert("m.call.invite".to_owned(), 50.into());
    }
    let server = settings.power_level_overrides.get(options.preset.as_str());
    for (key, value) in server.and_then(Value::as_object).into_iter().flatten() {
        content.insert(key.clone(), value.clone());
    }
    for (key, value) in &options.power_levels {
        content.insert(key.clone(), value.clone());
    }
    content
}
