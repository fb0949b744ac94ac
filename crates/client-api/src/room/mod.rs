//! Rooms: making and upgrading them, their single events, and what they are (client-server API, "Rooms", "Getting events for a
//! room", "Room summaries").

mod create_room;
mod get_event_by_timestamp;
mod get_room_event;
mod get_summary;
mod upgrade_room;

use http::Method;
use myelin_http::RumaRouter;
use ruma::api::{
    auth_scheme::{AccessToken, AccessTokenOptional},
    client::room,
};

use crate::{ClientApi, room_input::paths};

/// The stable path and those of MSC3266 that clients use.
const SUMMARY: [&str; 3] = [
    "/_matrix/client/v1/room_summary/{room_id_or_alias}",
    "/_matrix/client/unstable/im.nheko.summary/summary/{room_id_or_alias}",
    "/_matrix/client/unstable/im.nheko.summary/rooms/{room_id_or_alias}/summary",
];

pub(crate) fn routes() -> RumaRouter<ClientApi> {
    let mut router = RumaRouter::new()
        .endpoint::<room::get_room_event::v3::Request, _, _>(get_room_event::handler)
        .endpoint::<room::get_event_by_timestamp::v1::Request, _, _>(
            get_event_by_timestamp::handler,
        )
        .raw::<AccessTokenOptional, _, _>(
            "get_summary",
            Method::GET,
            &SUMMARY,
            get_summary::handler,
        );
    for path in paths("/createRoom") {
        router = router.raw::<AccessToken, _, _>(
            "room::create_room",
            Method::POST,
            &[&path],
            create_room::handler,
        );
    }
    for path in paths("/rooms/{room_id}/upgrade") {
        router = router.raw::<AccessToken, _, _>(
            "room::upgrade_room",
            Method::POST,
            &[&path],
            upgrade_room::handler,
        );
    }
    router
}
