//! Single events of a room (client-server API, "Getting events for a room").

mod get_event_by_timestamp;
mod get_room_event;

use myelin_http::RumaRouter;
use ruma::api::client::room;

use crate::ClientApi;

pub(crate) fn routes() -> RumaRouter<ClientApi> {
    RumaRouter::new()
        .endpoint::<room::get_room_event::v3::Request, _, _>(get_room_event::handler)
        .endpoint::<room::get_event_by_timestamp::v1::Request, _, _>(get_event_by_timestamp::handler)
}
