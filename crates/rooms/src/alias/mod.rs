//! Room aliases: making, finding and deleting them.

pub mod add;
pub mod delete;
pub mod find;
pub mod namespace;
