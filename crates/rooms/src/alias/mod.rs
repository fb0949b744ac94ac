//! Room aliases: making and deleting them, and naming the canonical one.

pub mod add;
pub mod canonical;
pub mod delete;
pub mod find;
