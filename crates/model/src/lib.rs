//! Domain values shared by every layer. No I/O, no SQL, no HTTP, no clock but a trait.

mod actor;
mod appservice;
mod clock;
mod event;
mod history_visibility;
mod ids;
pub mod limits;
mod membership;
mod nul;
mod secret;
mod token;

pub use self::{
    actor::{ActiveActor, Actor, Agent, RateLimitOverride, Suspended},
    appservice::{
        Appservice, AppserviceNamespace, AppserviceNamespaces, AppserviceRegistration, Appservices,
    },
    clock::{Clock, SystemClock},
    event::{Event, EventFlags, Transaction},
    history_visibility::HistoryVisibility,
    ids::{EventNid, RoomNid, StateKeyNid, StateNid, StreamPos},
    membership::Membership,
    nul::has_nul,
    secret::Secret,
    token::TokenHash,
};
