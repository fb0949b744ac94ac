//! Stories of the engine on a real database.

mod fixture;
mod policy;
mod redacted;
mod unknown;
