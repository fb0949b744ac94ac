//! Keys of devices and users (client-server API, "Key management API" and "Cross-signing").

mod claim_keys;
mod get_key_changes;
mod get_keys;
#[cfg(test)]
mod tests;
mod upload_keys;
mod upload_signatures;
mod upload_signing_keys;

use myelin_http::RumaRouter;
use ruma::api::client::keys as api;

use crate::ClientApi;

pub(crate) fn routes() -> RumaRouter<ClientApi> {
    RumaRouter::new()
        .endpoint::<api::upload_keys::v3::Request, _, _>(upload_keys::handler)
        .endpoint::<api::get_keys::v3::Request, _, _>(get_keys::handler)
        .endpoint::<api::claim_keys::v3::Request, _, _>(claim_keys::handler)
        .endpoint::<api::get_key_changes::v3::Request, _, _>(get_key_changes::handler)
        .endpoint::<api::upload_signing_keys::v3::Request, _, _>(upload_signing_keys::handler)
        .endpoint::<api::upload_signatures::v3::Request, _, _>(upload_signatures::handler)
}
