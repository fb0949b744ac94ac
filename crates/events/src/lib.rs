//! The rules of Matrix as pure functions: values in, verdict out. No I/O, no clock, no `async`.
//!
//! A room's [`version::RoomVersion`] decides the form of its events ([`pdu`], [`build`], [`canonical`], [`key`]), who may send what
//! ([`auth`]), and what a redaction leaves ([`redact`]).

pub mod auth;
pub mod build;
pub mod canonical;
pub mod key;
pub mod pdu;
pub mod redact;
pub mod version;

pub use self::{
    build::{BuildError, NewEvent},
    key::{PublicKey, PublicKeys, SigningKey},
    pdu::{Pdu, PduError},
    version::RoomVersion,
};
