//! Sessions: who an access token stands for, and how one comes by it.

mod authenticate;
mod cache;

pub use self::authenticate::{AuthenticateError, Credentials, authenticate};
pub(crate) use self::cache::SessionCache;
