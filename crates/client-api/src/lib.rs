//! The client-server API: one file per endpoint, no rules, no SQL.
//!
//! Each section of the specification is a module with a `routes()` that says what it mounts.

mod account;
mod alias;
mod appservice;
#[cfg(test)]
mod backfilled;
mod backup;
#[cfg(test)]
mod branches;
#[cfg(test)]
mod budgets;
#[cfg(test)]
mod config_tests;
mod context;
mod device;
mod directory;
#[cfg(test)]
mod every_route;
#[cfg(test)]
mod failures;
#[cfg(test)]
mod foreign;
#[cfg(test)]
mod hostile_requests;
#[cfg(test)]
mod invited;
mod keys;
mod membership;
mod message;
mod old_sync;
mod presence;
mod profile;
mod push;
mod read_marker;
mod receipt;
mod relations;
mod reply;
#[cfg(test)]
mod restricted_callers;
mod room;
mod room_error;
mod room_input;
mod room_state;
mod send;
mod server;
mod session;
mod space;
mod state;
#[cfg(test)]
mod stored_secrets;
mod sync;
#[cfg(test)]
mod test_bridge;
#[cfg(test)]
mod test_rooms;
#[cfg(test)]
mod test_server;
mod threads;
mod to_device;
mod typing;
mod uia;
#[cfg(test)]
mod unfinished_work;
mod user_data;
mod user_directory;

use myelin_http::{ApiError, RumaRouter};

pub use self::state::{ClientApi, ClientApiSettings, TurnSettings};

/// The answer of a handler that writes its JSON itself.
type Answer = Result<axum::Json<serde_json::Value>, ApiError>;

/// Every endpoint of the client-server API.
pub fn routes() -> RumaRouter<ClientApi> {
    RumaRouter::new()
        .merge(account::routes())
        .merge(alias::routes())
        .merge(appservice::routes())
        .merge(backup::routes())
        .merge(context::routes())
        .merge(device::routes())
        .merge(directory::routes())
        .merge(keys::routes())
        .merge(membership::routes())
        .merge(message::routes())
        .merge(old_sync::routes())
        .merge(presence::routes())
        .merge(profile::routes())
        .merge(push::routes())
        .merge(read_marker::routes())
        .merge(receipt::routes())
        .merge(room::routes())
        .merge(room_state::routes())
        .merge(send::routes())
        .merge(server::routes())
        .merge(session::routes())
        .merge(space::routes())
        .merge(typing::routes())
        .merge(relations::routes())
        .merge(threads::routes())
        .merge(to_device::routes())
        .merge(uia::routes())
        .merge(user_data::routes())
        .merge(sync::routes())
        .merge(user_directory::routes())
}
