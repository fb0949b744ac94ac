//! The threads of a room (client-server API, "Threading").

mod get_threads;

use myelin_http::RumaRouter;
use ruma::api::client::threads;

use crate::ClientApi;

pub(crate) fn routes() -> RumaRouter<ClientApi> {
    RumaRouter::new().endpoint::<threads::get_threads::v1::Request, _, _>(get_threads::handler)
}
