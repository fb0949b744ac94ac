//! Account administration (client-server API, "Account registration and management").

mod whoami;

use myelin_http::RumaRouter;
use ruma::api::client::account;

use crate::ClientApi;

pub(crate) fn routes() -> RumaRouter<ClientApi> {
    RumaRouter::new().endpoint::<account::whoami::v3::Request, _, _>(whoami::handler)
}
