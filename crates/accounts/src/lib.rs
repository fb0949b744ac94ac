//! Users, devices, tokens, user-interactive authentication, profiles and what users store. Knows no HTTP.
//!
//! One file a use case: its error enum and a function that takes [`Accounts`] first.

mod context;
pub mod session;
mod settings;

pub use self::{
    context::Accounts,
    settings::{AccountsSettings, LoginTokenSettings, PasswordPolicy},
};
