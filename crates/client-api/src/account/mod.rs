//! Account administration (client-server API, "Account registration and management", "OpenID").

#[cfg(test)]
mod appservice_tests;
mod change_password;
mod check_registration_token_validity;
mod deactivate;
mod get_username_availability;
mod register;
mod request_openid_token;
mod threepid;
mod whoami;

use http::Method;
use myelin_http::RumaRouter;
use ruma::api::{auth_scheme::AccessToken, client::account};

use crate::ClientApi;

pub(crate) fn routes() -> RumaRouter<ClientApi> {
    RumaRouter::new()
        .endpoint::<account::whoami::v3::Request, _, _>(whoami::handler)
        .endpoint::<account::register::v3::Request, _, _>(register::handler)
        .endpoint::<account::get_username_availability::v3::Request, _, _>(
            get_username_availability::handler,
        )
        .endpoint::<account::check_registration_token_validity::v1::Request, _, _>(
            check_registration_token_validity::handler,
        )
        .raw::<AccessToken, _, _>(
            "account::change_password",
            Method::POST,
            &["/_matrix/client/v3/account/password", "/_matrix/client/r0/account/password"],
            change_password::handler,
        )
        .raw::<AccessToken, _, _>(
            "account::deactivate",
            Method::POST,
            &["/_matrix/client/v3/account/deactivate", "/_matrix/client/r0/account/deactivate"],
            deactivate::handler,
        )
        .endpoint::<account::request_openid_token::v3::Request, _, _>(request_openid_token::handler)
        .merge(threepid::routes())
}
