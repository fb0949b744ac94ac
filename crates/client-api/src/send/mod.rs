//! Sending events (client-server API, "Sending events to a room" and "Redactions").

mod message;
mod redact;
mod state;

use http::Method;
use myelin_http::RumaRouter;
use ruma::api::auth_scheme::AccessToken;

use crate::{ClientApi, room_input::paths};

pub(crate) fn routes() -> RumaRouter<ClientApi> {
    let mut router = RumaRouter::new();
    for path in paths("/rooms/{room_id}/send/{event_type}/{txn_id}") {
        router = router.raw::<AccessToken, _, _>(
            "message::send_message_event",
            Method::PUT,
            &[&path],
            message::put,
        );
    }
    for path in paths("/rooms/{room_id}/send/{event_type}") {
        router = router.raw::<AccessToken, _, _>(
            "message::send_message_event",
            Method::POST,
            &[&path],
            message::post,
        );
    }
    for suffix in ["", "/", "/{state_key}"] {
        for path in paths(&format!("/rooms/{{room_id}}/state/{{event_type}}{suffix}")) {
            router = router.raw::<AccessToken, _, _>(
                "state::send_state_event",
                Method::PUT,
                &[&path],
                state::put,
            );
        }
    }
    for path in paths("/rooms/{room_id}/redact/{event_id}/{txn_id}") {
        router = router.raw::<AccessToken, _, _>(
            "redact::redact_event",
            Method::PUT,
            &[&path],
            redact::put,
        );
    }
    for path in paths("/rooms/{room_id}/redact/{event_id}") {
        router = router.raw::<AccessToken, _, _>(
            "redact::redact_event",
            Method::POST,
            &[&path],
            redact::post,
        );
    }
    router
}
