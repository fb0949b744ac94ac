//! User-interactive authentication around an endpoint (client-server API, "User-Interactive Authentication API").

mod fallback;
mod require;

use http::Method;
use myelin_http::RumaRouter;
use ruma::api::auth_scheme::NoAccessToken;

pub(crate) use self::require::{
    Demand, answer_incomplete, operation, require_auth, take_auth, to_api_error,
};
use crate::ClientApi;

/// The pages for clients that know no other way through a stage.
const FALLBACK: &[&str] = &[
    "/_matrix/client/v3/auth/{stage}/fallback/web",
    "/_matrix/client/r0/auth/{stage}/fallback/web",
];

pub(crate) fn routes() -> RumaRouter<ClientApi> {
    RumaRouter::new()
        .raw::<NoAccessToken, _, _>("uia::fallback_page", Method::GET, FALLBACK, fallback::show)
        .raw::<NoAccessToken, _, _>(
            "uia::fallback_submit",
            Method::POST,
            FALLBACK,
            fallback::submit,
        )
}
