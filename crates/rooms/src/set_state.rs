//! Setting a room's state, members excepted: see [`crate::membership`].

use myelin_engine::{Attempts, Intent, Refused, Unchanged};
use myelin_model::ActiveActor;
use ruma::{OwnedEventId, RoomId};

use crate::{EventError, Rooms, upgrade::carry_over_for_all};

/// A state event as a client sends it.
#[derive(Debug, Clone, Copy)]
pub struct NewState<'a> {
    pub room_id: &'a RoomId,
    pub event_type: &'a str,
    pub state_key: &'a str,
    /// The content as JSON. It reaches the event as it is, in canonical form.
    pub content: &'a str,
    /// The time, in milliseconds since the Unix epoch, where an application service gives one.
    pub origin_server_ts: Option<u64>,
}

/// Set state. Setting again what the same user set, and what is still so, makes no second event. Returns when it is
/// stored.
#[tracing::instrument(name = "rooms.set_state", skip_all, fields(room.id = %new.room_id, user.id = %actor.user_id))]
pub async fn set_state(
    rooms: &Rooms,
    actor: ActiveActor<'_>,
    new: NewState<'_>,
) -> Result<OwnedEventId, EventError> {
    let mut attempts = Attempts::default();
    loop {
        let mut draft = rooms.engine().get_draft(new.room_id).await?;
        let intent = Intent {
            origin_server_ts: new.origin_server_ts,
            ..Intent::state(&actor.user_id, new.event_type, new.state_key, new.content)
        };
        match draft.find_unchanged(&intent).await? {
            Unchanged::No => {}
            Unchanged::Stored(event_id) => return Ok(event_id),
            Unchanged::Queued => {
                drop(draft);
                attempts.again().await?;
                continue;
            }
        }
        let added = draft.add(intent).await?;
        match draft.append().await {
            Ok(_) => {
                follow_tombstone(rooms, &new).await;
                return Ok(added.event_id);
            }
            Err(Refused::Conflict) => attempts.again().await?,
            Err(Refused::Failed(error)) => return Err(error),
        }
    }
}

/// A room that is upgraded by hand, with a successor that was made before: see [`crate::upgrade`].
async fn follow_tombstone(rooms: &Rooms, new: &NewState<'_>) {
    if new.event_type != "m.room.tombstone" || !new.state_key.is_empty() {
        return;
    }
    let content: Option<serde_json::Value> = serde_json::from_str(new.content).ok();
    let successor = content.as_ref().and_then(|content| content.get("replacement_room")?.as_str());
    if let Some(successor) = successor.and_then(|id| <&RoomId>::try_from(id).ok()) {
        carry_over_for_all(rooms, new.room_id, successor).await;
    }
}
