//! Pages of a room's history (client-server API, "Getting events for a room").

mod get_message_events;

use myelin_http::RumaRouter;
use ruma::api::client::message;

use crate::ClientApi;

pub(crate) fn routes() -> RumaRouter<ClientApi> {
    RumaRouter::new()
        .endpoint::<message::get_message_events::v3::Request, _, _>(get_message_events::handler)
}
