//! The calls of application services ("Application Service API", "Pinging").

mod request_ping;

use myelin_http::RumaRouter;
use ruma::api::client::appservice;

use crate::ClientApi;

pub(crate) fn routes() -> RumaRouter<ClientApi> {
    RumaRouter::new().endpoint::<appservice::request_ping::v1::Request, _, _>(request_ping::handler)
}
