//! The first events of a room, in their order.

use myelin_engine::{Draft, Intent};
use myelin_model::Actor;
use ruma::{RoomAliasId, UserId};
use serde_json::{Map, Value, json};

use super::{options::Options, power_levels};
use crate::{EventError, Rooms, membership::find_member_profile};

/// Add all events of a new room but the first to its draft.
pub(super) async fn add_rest(
    rooms: &Rooms,
    draft: &mut Draft,
    actor: &Actor,
    options: &Options,
    alias: Option<&RoomAliasId>,
) -> Result<(), EventError> {
    let creator = &*actor.user_id;
    add_member(
        rooms,
        draft,
        creator,
        creator,
        Map::from_iter([("membership".to_owned(), "join".into())]),
    )
    .await?;
    add_rules(rooms, draft, actor, options, alias).await?;
    for event in &options.initial_state {
        if event.event_type == "m.room.power_levels" && event.state_key.is_empty() {
            continue;
        }
        add(draft, creator, &event.event_type, &event.state_key, &event.content).await?;
    }
    if options.preset.is_encrypted(rooms.settings().encrypted_by_default) {
        add(draft, creator, "m.room.encryption", "", &json!({"algorithm": "m.megolm.v1.aes-sha2"}))
            .await?;
    }
    if let Some(name) = &options.name {
        add(draft, creator, "m.room.name", "", &json!({"name": name})).await?;
    }
    if let Some(topic) = &options.topic {
        let content = json!({"topic": topic, "m.topic": {"m.text": [{"body": topic}]}});
        add(draft, creator, "m.room.topic", "", &content).await?;
    }
    for user_id in &options.invite {
        let mut content = Map::from_iter([("membership".to_owned(), "invite".into())]);
        if options.is_direct {
            content.insert("is_direct".to_owned(), true.into());
        }
        add_member(rooms, draft, creator, user_id, content).await?;
    }
    Ok(())
}

/// Add the first event. Since version 12 the room has its ID from here on.
pub(super) async fn add_create(
    draft: &mut Draft,
    creator: &UserId,
    options: &Options,
) -> Result<(), EventError> {
    let content = Value::Object(options.creation_content.clone()).to_string();
    let intent = Intent {
        origin_server_ts: Some(draft.engine().next_create_ms()),
        ..Intent::state(creator, "m.room.create", "", &content)
    };
    draft.add(intent).await?;
    Ok(())
}

/// Add the state that the preset gives, where `initial_state` does not have it.
async fn add_rules(
    rooms: &Rooms,
    draft: &mut Draft,
    actor: &Actor,
    options: &Options,
    alias: Option<&RoomAliasId>,
) -> Result<(), EventError> {
    let creator = &*actor.user_id;
    let given = |event_type: &str| {
        options
            .initial_state
            .iter()
            .find(|event| event.event_type == event_type && event.state_key.is_empty())
    };
    let levels = match given("m.room.power_levels") {
        Some(event) => event.content.clone(),
        None => Value::Object(power_levels::content(rooms.settings(), actor, options)),
    };
    add(draft, creator, "m.room.power_levels", "", &levels).await?;
    if let Some(alias) = alias.filter(|_| given("m.room.canonical_alias").is_none()) {
        add(draft, creator, "m.room.canonical_alias", "", &json!({"alias": alias})).await?;
    }
    if given("m.room.join_rules").is_none() {
        let content = json!({"join_rule": options.preset.join_rule()});
        add(draft, creator, "m.room.join_rules", "", &content).await?;
    }
    if given("m.room.history_visibility").is_none() {
        let content = json!({"history_visibility": "shared"});
        add(draft, creator, "m.room.history_visibility", "", &content).await?;
    }
    if options.preset.guests_may_join() && given("m.room.guest_access").is_none() {
        let content = json!({"guest_access": "can_join"});
        add(draft, creator, "m.room.guest_access", "", &content).await?;
    }
    Ok(())
}

async fn add_member(
    rooms: &Rooms,
    draft: &mut Draft,
    sender: &UserId,
    target: &UserId,
    mut content: Map<String, Value>,
) -> Result<(), EventError> {
    if sender == target || rooms.settings().profiles_in_invites {
        find_member_profile(rooms, target).await?.fill(&mut content);
    }
    add(draft, sender, "m.room.member", target.as_str(), &Value::Object(content)).await
}

pub(super) async fn add(
    draft: &mut Draft,
    sender: &UserId,
    event_type: &str,
    state_key: &str,
    content: &Value,
) -> Result<(), EventError> {
    draft.add(Intent::state(sender, event_type, state_key, &content.to_string())).await?;
    Ok(())
}
