//! Room heads: where each room in use stands, in memory, kept in line by the log.

mod cache;
mod head;
mod read;

pub use self::{
    cache::Heads,
    head::{Extremity, RoomHead},
};
