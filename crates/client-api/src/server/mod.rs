//! The description of the server and its abilities (client-server API, "Server administration", "Capabilities
//! negotiation", "VoIP", "Third-party networks").

mod get_capabilities;
mod get_protocols;
mod get_supported_versions;
mod get_turn_server_info;

use http::Method;
use myelin_http::RumaRouter;
use ruma::api::{
    auth_scheme::AccessToken,
    client::{discovery, thirdparty, voip},
};

use crate::ClientApi;

pub(crate) fn routes() -> RumaRouter<ClientApi> {
    RumaRouter::new()
        .endpoint::<discovery::get_supported_versions::Request, _, _>(
            get_supported_versions::handler,
        )
        .endpoint::<discovery::get_capabilities::v3::Request, _, _>(get_capabilities::handler)
        .endpoint::<voip::get_turn_server_info::v3::Request, _, _>(get_turn_server_info::handler)
        .endpoint::<thirdparty::get_protocols::v3::Request, _, _>(get_protocols::handler)
        .raw::<AccessToken, _, _>(
            "thirdparty::get_protocols",
            Method::GET,
            &["/_matrix/client/unstable/thirdparty/protocols"],
            get_protocols::handler,
        )
}
