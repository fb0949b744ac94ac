//! Rooms in spaces (client-server API, "Spaces").

mod get_hierarchy;

use myelin_http::RumaRouter;
use ruma::api::client::space;

use crate::ClientApi;

pub(crate) fn routes() -> RumaRouter<ClientApi> {
    RumaRouter::new().endpoint::<space::get_hierarchy::v1::Request, _, _>(get_hierarchy::handler)
}
