//! Who is in rooms (client-server API, "Room membership" and "Getting events for a room").

mod get_member_events;
mod joined_members;
mod joined_rooms;

use myelin_http::RumaRouter;
use ruma::api::client::membership;

use crate::ClientApi;

pub(crate) fn routes() -> RumaRouter<ClientApi> {
    RumaRouter::new()
        .endpoint::<membership::get_member_events::v3::Request, _, _>(get_member_events::handler)
        .endpoint::<membership::joined_members::v3::Request, _, _>(joined_members::handler)
        .endpoint::<membership::joined_rooms::v3::Request, _, _>(joined_rooms::handler)
}
