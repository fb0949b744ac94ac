//! Setting a room's state, members excepted: see [`crate::membership`].

use myelin_engine::{Attempts, Intent, Refused, Unchanged};
use myelin_model::ActiveActor;
use ruma::{OwnedEventId, RoomId};

use crate::{EventError, Rooms, consequence::Consequence, unfinished};

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
    let consequence = Consequence::of_state(&new);
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
        let work = match &consequence {
            Some(consequence) => Some(consequence.begin(rooms).await?),
            None => None,
        };
        match draft.append().await {
            Ok(_) => {
                if let Some(work) = work {
                    unfinished::finish(rooms, &work).await;
                }
                return Ok(added.event_id);
            }
            Err(Refused::Conflict) => attempts.again().await?,
            Err(Refused::Failed(error)) => return Err(error),
        }
    }
}
