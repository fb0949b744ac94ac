//! The place where a user goes on reading a room (client-server API, "Fully read markers").

mod set_read_marker;

use myelin_http::RumaRouter;
use ruma::api::client::read_marker;

use crate::ClientApi;

pub(crate) fn routes() -> RumaRouter<ClientApi> {
    RumaRouter::new()
        .endpoint::<read_marker::set_read_marker::v3::Request, _, _>(set_read_marker::handler)
}
