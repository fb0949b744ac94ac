//! The room engine: build, check, append; and what a reader may see of a room.
//!
//! A use case takes a [`Draft`] of a room, which holds the room's lock on this node, adds events to it, and appends it: the
//! events go into the writer's queue under the lock, and only after it is released does the use case wait for the flush. So
//! many events of one room share a batch, each built upon the one before it. What they are built upon is the room's tip: the
//! head with everything that this node has queued. If another node was quicker, messages are appended beside what it wrote,
//! so that the room has one more forward extremity, which the next event follows, too. Anything else, and what would be judged
//! by another state now, is refused with all that was built upon it, and each use case begins anew from the stored head.
//!
//! Events of other servers come in by [`Engine::receive`]: checked against the state before them and against the current one, and
//! appended, or kept beside the log.

mod add;
mod append;
mod asking;
mod attempts;
mod draft;
mod engine;
mod error;
mod ignored;
mod intent;
mod joined;
mod known;
mod notify;
mod outside;
mod policy;
mod received;
mod redactions;
mod related;
mod sights;
mod state;
mod state_before;
mod tip;
mod tips;
mod transactions;
mod view;

pub use self::{
    append::Refused,
    attempts::Attempts,
    draft::Draft,
    engine::Engine,
    error::EventError,
    intent::{Added, Intent},
    known::StateEvent,
    notify::notifies,
    outside::OutsideError,
    policy::{RelationError, ShapeError},
    received::{Joining, Missing, Outcome, Place, ReceiveError, Rejection, StateAt, Verdict},
    related::Related,
    sights::{get_sight, look_up},
    state::Unchanged,
    view::{RoomView, ViewError},
};
