//! Ephemeral changes: who is typing, and who is there. They travel between nodes by NOTIFY, not by the log, and each node keeps
//! all of it in memory.
//!
//! Every change gets a stamp on each node: milliseconds since the epoch, pushed up so that they strictly increase. The second
//! field of a sync token is such a stamp. Stamps of two nodes differ a little; what is sent twice because of it does no harm.

mod hub;
mod presence;
mod store;
mod tasks;
mod typing;
mod wire;

pub(crate) use self::wire::CHANNEL;
pub use self::{
    hub::{Ephemeral, EphemeralChange, EphemeralChanges, EphemeralSubscriber},
    presence::{Presence, PresenceState, PresenceTimers, Syncing},
};
