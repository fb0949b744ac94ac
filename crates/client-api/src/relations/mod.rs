//! The events that relate to an event (client-server API, "Forming relationships between events").

#[cfg(test)]
mod bundles;
mod get_relating_events;

use myelin_http::RumaRouter;
use ruma::api::client::relations;

use crate::ClientApi;

pub(crate) fn routes() -> RumaRouter<ClientApi> {
    RumaRouter::new()
        .endpoint::<relations::get_relating_events::v1::Request, _, _>(get_relating_events::handler)
        .endpoint::<relations::get_relating_events_with_rel_type::v1::Request, _, _>(
            get_relating_events::handler,
        )
        .endpoint::<relations::get_relating_events_with_rel_type_and_event_type::v1::Request, _, _>(
            get_relating_events::handler,
        )
}
