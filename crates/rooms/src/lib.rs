//! Room use cases: making events and appending them, membership, aliases, the directory, and what is read of a room.
//! Knows the rules and the tables; knows nothing of HTTP and sends nothing to other servers.

pub mod alias;
mod consequence;
mod context;
pub mod create;
pub mod history;
pub mod listing;
pub mod membership;
pub mod presence;
pub mod publish;
pub mod receipts;
pub mod redact;
pub mod relations;
mod rules;
pub mod send;
pub mod set_state;
pub mod typing;
pub mod unfinished;
pub mod upgrade;

pub use myelin_engine::EventError;

pub use self::{
    context::{EncryptedByDefault, RoomSettings, Rooms},
    rules::{NamingRule, NamingRules},
    send::SendError,
};
