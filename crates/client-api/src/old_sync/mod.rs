//! The endpoints that clients used before `/sync` (client-server API, "Syncing" and "Room previews").

mod get_one_event;
mod initial_sync;
mod listen_to_events;
mod room_initial_sync;

use http::Method;
use myelin_http::{ApiError, RumaRouter};
use myelin_sync::{SyncToken, old_sync::EVENTS_DEFAULT};
use ruma::api::auth_scheme::AccessToken;

use crate::{ClientApi, room_input::paths};

pub(crate) fn routes() -> RumaRouter<ClientApi> {
    let mut router = RumaRouter::new();
    for path in paths("/events") {
        let (name, handler) = ("old_sync::listen_to_events", listen_to_events::handler);
        router = router.raw::<AccessToken, _, _>(name, Method::GET, &[&path], handler);
    }
    for path in paths("/events/{event_id}") {
        let (name, handler) = ("old_sync::get_one_event", get_one_event::handler);
        router = router.raw::<AccessToken, _, _>(name, Method::GET, &[&path], handler);
    }
    for path in paths("/initialSync") {
        let (name, handler) = ("old_sync::initial_sync", initial_sync::handler);
        router = router.raw::<AccessToken, _, _>(name, Method::GET, &[&path], handler);
    }
    for path in paths("/rooms/{room_id}/initialSync") {
        let (name, handler) = ("old_sync::room_initial_sync", room_initial_sync::handler);
        router = router.raw::<AccessToken, _, _>(name, Method::GET, &[&path], handler);
    }
    router
}

/// The number of events that are wanted.
fn limit(text: Option<&str>) -> Result<usize, ApiError> {
    text.map_or(Ok(EVENTS_DEFAULT), |text| {
        text.parse().map_err(|_| {
            ApiError::invalid_param("Query parameter 'limit' must be a positive integer")
        })
    })
}

/// The token after which events are wanted. `None`: those that come from now on.
fn from(text: Option<&str>) -> Result<Option<SyncToken>, ApiError> {
    // Some clients send an empty token for none, and old ones this word.
    let token = text.filter(|text| !text.is_empty() && *text != "END").map(SyncToken::parse);
    token.transpose().map_err(|_| ApiError::unknown("'from' parameter is invalid"))
}
