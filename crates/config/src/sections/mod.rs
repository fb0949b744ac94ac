//! The sections of the config, one file each: what every key means, its default, unit and limits.

pub mod appservices;
pub mod database;
mod database_args;
pub mod listeners;
pub mod logging;
pub mod media;
pub mod outgoing;
pub mod own;
pub mod password;
pub mod ratelimits;
pub mod registration;
pub mod rooms;
pub mod server;
pub mod sessions;
pub mod signing;
pub mod turn;
pub mod users;
pub mod well_known;
