//! The client-server API: one file per endpoint, no rules, no SQL.
//!
//! Each section of the specification is a module with a `routes()` that says what it mounts.

mod account;
mod alias;
mod context;
mod directory;
mod membership;
mod message;
mod presence;
mod read_marker;
mod receipt;
mod reply;
mod room;
mod room_error;
mod room_input;
mod room_state;
mod send;
mod space;
mod state;
#[cfg(test)]
mod test_server;
mod typing;

use myelin_http::RumaRouter;

pub use self::state::ClientApi;

/// Every endpoint of the client-server API.
pub fn routes() -> RumaRouter<ClientApi> {
    RumaRouter::new()
        .merge(account::routes())
        .merge(context::routes())
        .merge(membership::routes())
        .merge(message::routes())
        .merge(room::routes())
        .merge(room_state::routes())
        .merge(alias::routes())
        .merge(send::routes())
        .merge(typing::routes())
        .merge(space::routes())
        .merge(receipt::routes())
        .merge(read_marker::routes())
        .merge(presence::routes())
        .merge(directory::routes())
}
