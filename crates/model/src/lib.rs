//! Domain values shared by every layer. No I/O, no SQL, no HTTP, no clock but a trait.

mod appservice;
mod clock;
mod event;
mod ids;
pub mod limits;
mod membership;
mod session;
mod token;

pub use self::{
    appservice::{
        Appservice, AppserviceNamespace, AppserviceNamespaces, AppserviceRegistration, Appservices,
    },
    clock::{Clock, SystemClock},
    event::{Event, EventFlags, Transaction},
    ids::{EventNid, RoomNid, StateKeyNid, StateNid, StreamPos},
    membership::Membership,
    session::{DeviceSession, RateLimitOverride},
    token::TokenHash,
};
