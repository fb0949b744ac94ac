//! The end of the room that is upgraded.

use myelin_engine::{Draft, Intent};
use ruma::{OwnedEventId, RoomId};
use serde_json::{Map, Value, json};

use super::{Plan, UpgradeError, power_levels};
use crate::EventError;

/// Point to the new room.
pub(super) async fn add_tombstone(
    plan: &Plan<'_>,
    old: &mut Draft,
    new_id: &RoomId,
) -> Result<OwnedEventId, UpgradeError> {
    let content =
        json!({"body": "This room has been replaced", "replacement_room": new_id}).to_string();
    let intent = Intent::state(&plan.actor.user_id, "m.room.tombstone", "", &content);
    Ok(old.add(intent).await?.event_id)
}

/// Give up the aliases, and let only moderators speak and invite, where the user has the power to say so.
pub(super) async fn add_rest(plan: &Plan<'_>, old: &mut Draft) -> Result<(), UpgradeError> {
    if let Some(event) = old.find_state("m.room.canonical_alias", "").await? {
        let content: Map<String, Value> = event.pdu.content_as().unwrap_or_default();
        let server = format!(":{}", old.engine().server_name());
        let rest = without_aliases_of(&server, content);
        add_if_allowed(plan, old, "m.room.canonical_alias", rest).await?;
    }
    if let Some(event) = old.find_state("m.room.power_levels", "").await?
        && let Some(content) = power_levels::restrict(event.pdu.content_as().unwrap_or_default())
    {
        add_if_allowed(plan, old, "m.room.power_levels", content).await?;
    }
    Ok(())
}

fn without_aliases_of(server: &str, mut content: Map<String, Value>) -> Map<String, Value> {
    let is_ours = |alias: &Value| alias.as_str().is_some_and(|alias| alias.ends_with(server));
    if content.get("alias").is_some_and(is_ours) {
        content.remove("alias");
    }
    if let Some(Value::Array(aliases)) = content.get_mut("alt_aliases") {
        aliases.retain(|alias| !is_ours(alias));
        if aliases.is_empty() {
            content.remove("alt_aliases");
        }
    }
    content
}

async fn add_if_allowed(
    plan: &Plan<'_>,
    old: &mut Draft,
    event_type: &str,
    content: Map<String, Value>,
) -> Result<(), UpgradeError> {
    let content = Value::Object(content).to_string();
    match old.add(Intent::state(&plan.actor.user_id, event_type, "", &content)).await {
        Ok(_) => Ok(()),
        Err(EventError::Forbidden(error)) => {
            tracing::info!(%error, event_type, "the old room keeps its state");
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}
