//! The rules of Matrix as pure functions: values in, verdict out. No I/O, no clock, no `async`.
//!
//! A room's [`version::RoomVersion`] decides the form of its events ([`pdu`], [`build`], [`canonical`], [`key`]), who may send what
//! ([`auth`]), what a redaction leaves ([`redact`]), and which
//! state holds after a fork ([`resolve`]). [`received`] and [`verify`] check what other servers sent, [`visibility`] and [`acl`] say who
//! may see and take part, [`filter`] which of it a client wants, [`push`] whom an event notifies, [`account_data`] what users
//! keep about themselves, and [`client`] and [`aggregations`] write events for clients.

pub mod account_data;
pub mod acl;
pub mod aggregations;
pub mod auth;
pub mod build;
pub mod canonical;
pub mod client;
pub mod filter;
pub mod key;
mod number;
pub mod pdu;
pub mod push;
pub mod received;
pub mod redact;
pub mod resolve;
pub mod sight;
pub mod verify;
pub mod version;
pub mod visibility;

pub use self::{
    build::{BuildError, NewEvent},
    key::{PublicKey, PublicKeys, SigningKey},
    pdu::{Pdu, PduError},
    version::RoomVersion,
};
