//! The one client for all requests that this server makes. Here is what holds for each of them: which addresses it may
//! reach, how long it may take, and how much of an answer is read. It knows nothing of Matrix.

mod addresses;
mod client;
mod resolver;

pub use self::{
    addresses::AddressRules,
    client::{Answer, Outbound, OutboundError, Reach},
};
