//! The endpoint by which clients hear of everything (client-server API, "Syncing").

mod sync_events;
#[cfg(test)]
mod tests;

use http::Method;
use myelin_http::RumaRouter;
use ruma::api::auth_scheme::AccessToken;

use crate::ClientApi;

pub(crate) fn routes() -> RumaRouter<ClientApi> {
    // The request is read here, as ruma's refuses filters and tokens that clients use.
    let paths = &["/_matrix/client/v3/sync", "/_matrix/client/r0/sync"];
    RumaRouter::new().raw::<AccessToken, _, _>(
        "sync::sync_events",
        Method::GET,
        paths,
        sync_events::handler,
    )
}
