//! Synapse's admin API: one file per endpoint, no rules, no SQL.

mod register;
mod state;

use http::Method;
use myelin_http::RumaRouter;
use ruma::api::auth_scheme::NoAuthentication;

pub use self::state::AdminApi;

/// The path at which users are registered by a shared secret.
const REGISTER: &[&str] = &["/_synapse/admin/v1/register"];

/// Every endpoint of the admin API.
pub fn routes() -> RumaRouter<AdminApi> {
    RumaRouter::new()
        .raw::<NoAuthentication, _, _>(
            "admin::get_nonce",
            Method::GET,
            REGISTER,
            register::get_nonce,
        )
        .raw::<NoAuthentication, _, _>(
            "admin::register",
            Method::POST,
            REGISTER,
            register::register,
        )
}
