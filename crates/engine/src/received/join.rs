//! Joining the forward extremities of a room in which others write side by side and nobody of this server does.

use ruma::{OwnedEventId, RoomId};

use crate::{Attempts, Draft, Engine, EventError, Intent, Refused};

/// The number of forward extremities that a room may have without being joined: as many as in Synapse.
const EXTREMITIES_UNJOINED_MAX: usize = 10;

/// The number of users of this server who are asked, one after the other, whether they may send.
const SENDERS_MAX: u32 = 10;

/// The event that servers send for no other purpose than to follow others. Clients are not shown it.
const EVENT_TYPE: &str = "org.matrix.dummy_event";

/// The outcome of joining a room's forward extremities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Joining {
    /// There are few of them.
    Few,
    /// This event joins them.
    Joined(OwnedEventId),
    /// None of the users asked may send.
    Closed,
}

impl Engine {
    /// Join the forward extremities of a room, if there are many, by an event of one of this server's users that says nothing: each
    /// costs time whenever the state is resolved.
    pub async fn join_extremities(&self, room_id: &RoomId) -> Result<Joining, EventError> {
        let mut attempts = Attempts::default();
        loop {
            let mut draft = self.get_draft(room_id).await?;
            if !draft.is_forked() {
                return Ok(Joining::Few);
            }
            let Some(event_id) = draft.join_extremities().await? else {
                return Ok(Joining::Closed);
            };
            match draft.append().await {
                Ok(_) => return Ok(Joining::Joined(event_id)),
                Err(Refused::Failed(error)) => return Err(error),
                Err(Refused::Conflict) => attempts.again().await?,
            }
        }
    }
}

impl Draft {
    /// Whether the room has so many forward extremities that they are to be joined.
    pub(super) fn is_forked(&self) -> bool {
        self.head.extremities.len() > EXTREMITIES_UNJOINED_MAX
    }

    async fn join_extremities(&mut self) -> Result<Option<OwnedEventId>, EventError> {
        let memberships = self.engine.db().memberships();
        let server = self.engine.server_name();
        let users = memberships.list_of_server(self.room_nid(), server, SENDERS_MAX).await?;
        for user_id in users {
            match self.add(Intent::message(&user_id, EVENT_TYPE, "{}")).await {
                Ok(added) => return Ok(Some(added.event_id)),
                Err(EventError::Forbidden(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}
