//! Room use cases: making events and appending them, membership, aliases, the directory, and what is read of a room.
//! Knows the rules and the tables; knows nothing of HTTP and sends nothing to other servers.

mod context;
mod engine;

pub use self::{
    context::{RoomSettings, Rooms},
    engine::EventError,
};
