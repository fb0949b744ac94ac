//! The room that takes the old one's place.

use std::sync::Arc;

use myelin_engine::{Draft, Intent, StateEvent};
use myelin_model::Membership;
use ruma::{EventId, UserId};
use serde_json::{Map, Value, json};

use super::{Plan, UpgradeError, power_levels};
use crate::{EventError, membership::find_member_profile};

/// The state that is copied, in this order, after the power levels, and the content that stands in its place if the old
/// room has none.
const COPIED: [(&str, Option<&str>); 8] = [
    ("m.room.join_rules", Some(r#"{"join_rule":"invite"}"#)),
    ("m.room.history_visibility", Some(r#"{"history_visibility":"shared"}"#)),
    ("m.room.guest_access", Some(r#"{"guest_access":"can_join"}"#)),
    ("m.room.name", None),
    ("m.room.topic", None),
    ("m.room.avatar", None),
    ("m.room.encryption", None),
    ("m.room.server_acl", None),
];

/// The create event, with the old room as its predecessor.
pub(super) async fn add_create(
    plan: &Plan<'_>,
    old: &mut Draft,
    new: &mut Draft,
    tombstone: Option<&EventId>,
) -> Result<(), UpgradeError> {
    let sender = &*plan.actor.user_id;
    let rules = plan.version.auth_rules();
    let old_create: Map<String, Value> = content_of(&old.find_state("m.room.create", "").await?);
    let mut predecessor = json!({"room_id": old.room_id()});
    if let (Some(tombstone), Value::Object(predecessor)) = (tombstone, &mut predecessor) {
        predecessor.insert("event_id".to_owned(), tombstone.as_str().into());
    }
    let mut content = Map::from_iter([
        ("room_version".to_owned(), plan.version.as_str().into()),
        ("predecessor".to_owned(), predecessor),
    ]);
    if !rules.use_room_create_sender {
        content.insert("creator".to_owned(), sender.as_str().into());
    }
    if rules.additional_room_creators && !plan.additional_creators.is_empty() {
        content.insert("additional_creators".to_owned(), json!(plan.additional_creators));
    }
    if old_create.get("m.federate") == Some(&Value::Bool(false)) {
        content.insert("m.federate".to_owned(), false.into());
    }
    if let Some(room_type) = old_create.get("type") {
        content.insert("type".to_owned(), room_type.clone());
    }
    let content = Value::Object(content).to_string();
    let intent = Intent {
        origin_server_ts: Some(new.engine().next_create_ms()),
        ..Intent::state(sender, "m.room.create", "", &content)
    };
    new.add(intent).await?;
    Ok(())
}

/// The member, the power levels and the state that is copied.
pub(super) async fn add_state(
    plan: &Plan<'_>,
    old: &mut Draft,
    new: &mut Draft,
) -> Result<(), UpgradeError> {
    let sender = &*plan.actor.user_id;
    let mut member = Map::from_iter([("membership".to_owned(), "join".into())]);
    find_member_profile(plan.rooms, sender).await?.fill(&mut member);
    add(new, sender, "m.room.member", sender.as_str(), &Value::Object(member).to_string()).await?;

    let mut levels =
        power_levels::fix(content_of(&old.find_state("m.room.power_levels", "").await?));
    let privileges_creators = plan.version.auth_rules().explicitly_privilege_room_creators;
    if privileges_creators {
        let creators = plan.additional_creators.iter().map(|user_id| &**user_id);
        power_levels::without_users(&mut levels, creators.chain([sender]));
    } else if old.version().auth_rules().explicitly_privilege_room_creators {
        let old_levels = old.power_levels().await?;
        power_levels::name_creators(&mut levels, old_levels.create().creators());
    }
    let mut raised = levels.clone();
    let is_raised = !privileges_creators && power_levels::raise(&mut raised, sender);
    add(new, sender, "m.room.power_levels", "", &Value::Object(raised).to_string()).await?;

    for (event_type, default) in COPIED {
        let event = old.find_state(event_type, "").await?;
        let copied = match &event {
            Some(event) => copy(new, sender, event_type, "", event.pdu.content()).await?,
            None => false,
        };
        if let (false, Some(content)) = (copied, default) {
            add(new, sender, event_type, "", content).await?;
        }
    }
    copy_space_children(sender, old, new).await?;
    copy_canonical_alias(sender, old, new).await?;
    copy_bans(sender, old, new).await?;
    if is_raised {
        add(new, sender, "m.room.power_levels", "", &Value::Object(levels).to_string()).await?;
    }
    Ok(())
}

async fn copy_space_children(
    sender: &UserId,
    old: &mut Draft,
    new: &mut Draft,
) -> Result<(), UpgradeError> {
    let create = content_of(&old.find_state("m.room.create", "").await?);
    if create.get("type").and_then(Value::as_str) != Some("m.space") {
        return Ok(());
    }
    let keys: Vec<_> = old.head().state.keys().copied().collect();
    let keys = old.engine().db().state_keys().list(&keys).await?;
    for key in keys.into_values().filter(|key| &*key.event_type == "m.space.child") {
        // A child without content was taken out of the space.
        if let Some(event) = old.find_state(&key.event_type, &key.state_key).await?
            && event.pdu.content() != "{}"
        {
            add(new, sender, &key.event_type, &key.state_key, event.pdu.content()).await?;
        }
    }
    Ok(())
}

/// The aliases of this server move with the room.
async fn copy_canonical_alias(
    sender: &UserId,
    old: &mut Draft,
    new: &mut Draft,
) -> Result<(), UpgradeError> {
    let Some(event) = old.find_state("m.room.canonical_alias", "").await? else { return Ok(()) };
    let content = content_of(&Some(event));
    let aliases = old.engine().db().aliases().list(old.room_nid()).await?;
    let is_ours = |alias: &&Value| aliases.iter().any(|ours| *alias == ours.alias.as_str());
    let mut moved = Map::new();
    if let Some(alias) = content.get("alias").filter(is_ours) {
        moved.insert("alias".to_owned(), alias.clone());
    }
    let alternatives = content.get("alt_aliases").and_then(Value::as_array);
    let alternatives: Vec<Value> =
        alternatives.into_iter().flatten().filter(is_ours).cloned().collect();
    if !alternatives.is_empty() {
        moved.insert("alt_aliases".to_owned(), alternatives.into());
    }
    if moved.is_empty() {
        return Ok(());
    }
    add(new, sender, "m.room.canonical_alias", "", &Value::Object(moved).to_string()).await
}

async fn copy_bans(sender: &UserId, old: &mut Draft, new: &mut Draft) -> Result<(), UpgradeError> {
    let banned =
        old.engine().db().memberships().list_user_ids(old.room_nid(), &[Membership::Ban]).await?;
    for user_id in banned {
        let Some(event) = old.find_state("m.room.member", user_id.as_str()).await? else {
            continue;
        };
        let target = user_id.as_str();
        // Whatever else another server wrote into it, the user stays banned.
        if !copy(new, sender, "m.room.member", target, event.pdu.content()).await? {
            add(new, sender, "m.room.member", target, r#"{"membership":"ban"}"#).await?;
        }
    }
    Ok(())
}

fn content_of(event: &Option<Arc<StateEvent>>) -> Map<String, Value> {
    event.as_ref().and_then(|event| event.pdu.content_as().ok()).unwrap_or_default()
}

/// Copy state. `false` if there is nothing in it to be copied: a redaction took it away, or it never was what it should be.
async fn copy(
    new: &mut Draft,
    sender: &UserId,
    event_type: &str,
    state_key: &str,
    content: &str,
) -> Result<bool, UpgradeError> {
    match new.add(Intent::state(sender, event_type, state_key, content)).await {
        Ok(_) => Ok(true),
        Err(EventError::Shape(_)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

async fn add(
    new: &mut Draft,
    sender: &UserId,
    event_type: &str,
    state_key: &str,
    content: &str,
) -> Result<(), UpgradeError> {
    new.add(Intent::state(sender, event_type, state_key, content)).await?;
    Ok(())
}
