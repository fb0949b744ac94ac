//! Rooms: making and upgrading them, and their single events (client-server API, "Rooms" and "Getting events for a room").

mod create_room;
mod get_event_by_timestamp;
mod get_room_event;

use http::Method;
use myelin_http::RumaRouter;
use ruma::api::{auth_scheme::AccessToken, client::room};

use crate::{ClientApi, room_input::paths};

pub(crate) fn routes() -> RumaRouter<ClientApi> {
    let mut router = RumaRouter::new()
        .endpoint::<room::get_room_event::v3::Request, _, _>(get_room_event::handler)
        .endpoint::<room::get_event_by_timestamp::v1::Request, _, _>(
            get_event_by_timestamp::handler,
        );
    for path in paths("/createRoom") {
        router = router.raw::<AccessToken, _, _>(
            "room::create_room",
            Method::POST,
            &[&path],
            create_room::handler,
        );
    }
    router
}
