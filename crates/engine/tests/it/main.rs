//! Stories of the engine on a real database.

mod fixture;
mod redacted;
mod unknown;
