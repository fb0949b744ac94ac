//! The server's part in end-to-end encryption: what clients keep here for one another, without the server being able to read
//! their messages. Knows no HTTP.
//!
//! One file a use case: its error enum and a function that takes [`E2ee`] first.

pub mod backup;
mod context;
pub mod cross_signing;
pub mod keys;
mod signed;
pub mod to_device;

pub use self::context::E2ee;
