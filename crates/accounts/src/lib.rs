//! Users, devices, tokens, user-interactive authentication, profiles and what users store. Knows no HTTP.
//!
//! One file a use case: its error enum and a function that takes [`Accounts`] first.

mod context;
pub mod deactivate;
pub mod devices;
pub mod filters;
mod hashing;
pub mod nonces;
pub mod openid;
pub mod password;
pub mod ping_appservice;
pub mod profile;
pub mod push_rules;
pub mod pushers;
mod random;
pub mod registration;
pub mod registration_tokens;
pub mod session;
mod settings;
pub mod threepids;
pub mod uia;
pub mod user_data;
pub mod user_directory;

pub use self::{
    context::Accounts,
    settings::{AccountsSettings, Disabled, LoginTokenSettings, PasswordPolicy},
};
