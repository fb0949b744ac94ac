//! The second door: events that other servers made.
//!
//! What comes in has passed the checks of form, signature and hash ([`myelin_events::received`]). Here it is checked against the events
//! that it cites, against the state before it, and against the current state, and finds its place: at the end of the log, where
//! clients hear of it, or beside the log. The state before an event follows from the events before it, whatever came meanwhile; the
//! current state follows from the forward extremities.
//!
//! Where something is missing that decides, nothing is decided: the caller is told what to fetch.

mod arrive;
mod backfill;
mod before;
mod forked;
mod full_conflict;
mod grow;
mod join;
mod keep;
mod known_state;
mod late;
mod look_up;
mod partial;
mod passed;
mod place;
mod resolve;
mod retry;
mod stored_room;

use myelin_events::received::Received;
use myelin_model::StreamPos;
use myelin_storage::StorageError;
use ruma::OwnedEventId;

pub use self::join::Joining;
pub(crate) use self::{forked::Forked, resolve::Resolutions};
use crate::{Attempts, Draft, Engine, EventError, Refused};

/// The number of state events that may be told of all that is missing before one event. The largest rooms have half as many.
const STATES_TOLD_EVENTS_MAX: usize = 400_000;

/// The place where a received event belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// At the end of the room's history: it was sent to us just now, or fills a gap before something that was.
    New,
    /// At this position, in the history from before what this server has of the room: without effect on the current state. See
    /// [`Engine::backfill`].
    History(StreamPos),
    /// In no history yet: it is cited by events that are, or part of a state that another server told.
    Outlier,
}

impl Place {
    /// The position that is given with the place.
    fn position(self) -> Option<StreamPos> {
        match self {
            Self::History(pos) => Some(pos),
            Self::New | Self::Outlier => None,
        }
    }
}

/// The state after an event that this server does not have, as another server tells it.
#[derive(Debug, Clone)]
pub struct StateAt {
    /// The event that is missing.
    pub event_id: OwnedEventId,
    /// The state events after it, which must have been received as outliers at least.
    pub state: Vec<OwnedEventId>,
    /// Whether it is a part of the state alone, as when other servers leave members out. What a part lacks is not known, so that nothing
    /// follows from it until the whole is there: see [`Engine::complete_states`].
    pub is_partial: bool,
}

/// The verdict on a received event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It stands in the log.
    Appended,
    /// It stands in the log, redacted: its content was not what had been hashed.
    RedactedAndAppended,
    /// The auth rules do not allow it. It is known, takes no effect, and is shown to nobody.
    Rejected(Rejection),
    /// It is allowed where it stands, but not any more: kept for what may follow it, shown to nobody.
    SoftFailed,
    /// It is part of the history from before what this server had of the room, and stands in nobody's stream.
    Backfilled,
    /// It is known, and part of no history.
    Outlier,
    /// The state before it is known in part alone: the event is shown to nobody, and takes no effect, until the whole is.
    Undecided,
}

/// The reason why an event is rejected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The events that it cites do not allow it.
    #[error("by its auth events: {0}")]
    AuthEvents(String),
    /// The state before it does not allow it.
    #[error("by the state before it: {0}")]
    StateBefore(String),
    /// It was rejected when it came before.
    #[error("{0}")]
    Before(String),
}

/// Events that must be known before another one can be judged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Missing {
    /// The events before it. Instead of an event the state after it will do.
    pub prev_events: Vec<OwnedEventId>,
    /// The events that it, or the state told, cites.
    pub auth_events: Vec<OwnedEventId>,
}

/// The reason why a received event was not judged.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// This server does not know the room.
    #[error("Unknown room")]
    UnknownRoom,
    /// The event was read by another version than the room's.
    #[error("the event was read by another room version")]
    OtherVersion,
    /// An event of another room has the same ID.
    #[error("the event is of another room")]
    OtherRoom,
    /// Another server tells of more state than is looked at.
    #[error("more than {STATES_TOLD_EVENTS_MAX} state events are told")]
    TooMuchState,
    /// The room could not be read or written.
    #[error(transparent)]
    Room(#[from] EventError),
}

impl From<StorageError> for ReceiveError {
    fn from(error: StorageError) -> Self {
        Self::Room(error.into())
    }
}

/// The outcome of receiving an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was judged, now or before.
    Judged(Verdict),
    /// It cannot be judged yet, and nothing of it is stored.
    Missing(Missing),
}

/// The end of one attempt.
pub(crate) enum Attempt {
    /// There is an outcome.
    Done(Outcome),
    /// The event is in the draft, to be appended.
    Append(Verdict),
    /// Another node was quicker, or what this one has queued is not flushed yet.
    Refused,
}

impl Engine {
    /// Take in an event of a room that this server is in. Whoever is handed the same event on another node comes to the same outcome,
    /// and so does who is handed it again.
    ///
    /// `states` stand for events before it that nobody could give us.
    pub async fn receive(
        &self,
        received: &Received,
        place: Place,
        states: &[StateAt],
    ) -> Result<Outcome, ReceiveError> {
        if states.iter().map(|told| told.state.len()).sum::<usize>() > STATES_TOLD_EVENTS_MAX {
            return Err(ReceiveError::TooMuchState);
        }
        let (outcome, looked_up) = self.take_in(received, place, states).await?;
        // What nobody has looked up is appended only where nothing waits for it.
        if looked_up && matches!(outcome, Outcome::Judged(_)) {
            self.retry_after(&received.pdu.event_id).await?;
        }
        Ok(outcome)
    }

    /// Take in an event. Says besides whether it was looked up what is stored that has to do with it.
    async fn take_in(
        &self,
        received: &Received,
        place: Place,
        states: &[StateAt],
    ) -> Result<(Outcome, bool), ReceiveError> {
        let room_nid = self.db().heads().find_nid(&received.pdu.room_id).await?;
        let room_nid = room_nid.ok_or(ReceiveError::UnknownRoom)?;
        let mut attempts = Attempts::default();
        // Most events follow what is the end of the room here, and nothing need be read to place them.
        let mut looks_up = place != Place::New || !states.is_empty();
        loop {
            let draft = Draft::open(self, room_nid).await?;
            let draft = draft.filter(|draft| draft.head.has_state());
            let mut draft = draft.ok_or(ReceiveError::UnknownRoom)?;
            if draft.version != received.pdu.version {
                return Err(ReceiveError::OtherVersion);
            }
            looks_up |= !draft.is_end(&received.pdu);
            if looks_up && draft.has_queued() {
                draft = draft.settle().await?;
            }
            let attempt = match looks_up && draft.has_queued() {
                true => Attempt::Refused,
                false => draft.receive(received, place, states, looks_up).await?,
            };
            match attempt {
                Attempt::Done(outcome) => return Ok((outcome, looks_up)),
                Attempt::Refused => drop(draft),
                Attempt::Append(verdict) => {
                    let is_forked = draft.is_forked();
                    match draft.append().await {
                        Ok(_) => {
                            if is_forked {
                                self.note_forked(&received.pdu.room_id);
                            }
                            return Ok((Outcome::Judged(verdict), looks_up));
                        }
                        Err(Refused::Failed(error)) => return Err(error.into()),
                        Err(Refused::Conflict) => {}
                    }
                }
            }
            looks_up = true;
            attempts.again().await?;
        }
    }
}
