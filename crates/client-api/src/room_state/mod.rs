//! A room's state (client-server API, "Getting events for a room").

mod get_state_event_for_key;
mod get_state_events;

use http::Method;
use myelin_http::RumaRouter;
use ruma::api::{auth_scheme::AccessToken, client::state};

use crate::ClientApi;

/// Paths without a state key: it is empty then.
pub(crate) const WITHOUT_KEY: [&str; 4] = [
    "/_matrix/client/v3/rooms/{room_id}/state/{event_type}",
    "/_matrix/client/v3/rooms/{room_id}/state/{event_type}/",
    "/_matrix/client/r0/rooms/{room_id}/state/{event_type}",
    "/_matrix/client/r0/rooms/{room_id}/state/{event_type}/",
];

pub(crate) fn routes() -> RumaRouter<ClientApi> {
    RumaRouter::new()
        .endpoint::<state::get_state_events::v3::Request, _, _>(get_state_events::handler)
        .endpoint::<state::get_state_event_for_key::v3::Request, _, _>(
            get_state_event_for_key::handler,
        )
        .raw::<AccessToken, _, _>(
            "get_state_event_for_key",
            Method::GET,
            &WITHOUT_KEY,
            get_state_event_for_key::handler,
        )
}
