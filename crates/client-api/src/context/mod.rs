//! The events around an event (client-server API, "Event context").

mod get_context;

use myelin_http::RumaRouter;
use ruma::api::client::context;

use crate::ClientApi;

pub(crate) fn routes() -> RumaRouter<ClientApi> {
    RumaRouter::new().endpoint::<context::get_context::v3::Request, _, _>(get_context::handler)
}
