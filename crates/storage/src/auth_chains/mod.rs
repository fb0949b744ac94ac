//! The chain cover of the auth graph: which state events are in the auth chain of which, without walking the graph.
//!
//! Every state event stands at one place of one chain, after all events before it there. A link leads from a place to a
//! place of another chain: who is at or after its source reaches its target and all before that. So what a set of events
//! reaches is one number a chain, and the auth-chain difference of several sets is what lies between the least and the
//! greatest of these numbers, chain by chain.

mod cover;
mod difference;
mod extend;
mod index;
mod paths;
mod positions;
mod read;

pub use self::{
    cover::{ChainCover, Covered},
    index::AuthChainIndex,
    positions::ChainPosition,
    read::AuthChains,
};
