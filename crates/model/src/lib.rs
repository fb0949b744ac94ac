//! Domain values shared by every layer. No I/O, no SQL, no HTTP, no clock but a trait.

mod clock;
mod event;
mod ids;
pub mod limits;
mod membership;
mod session;
mod token;

pub use self::{
    clock::{Clock, SystemClock},
    event::{Event, EventFlags, Transaction},
    ids::{EventNid, RoomNid, StateKeyNid, StateNid, StreamPos},
    membership::Membership,
    session::DeviceSession,
    token::TokenHash,
};
