//! Sessions (client-server API, "Login").

mod get_login_token;
mod get_login_types;
mod get_password_policy;
mod login;
mod login_fallback;
mod logout;
mod logout_all;
mod refresh_token;

use http::Method;
use myelin_accounts::session::StartedSession;
use myelin_http::RumaRouter;
use ruma::{
    UserId,
    api::{auth_scheme::NoAccessToken, client::session},
};
use serde_json::{Map, Value};

pub(crate) use self::login::{login_unsupported, read_device_id, read_flag};
use crate::ClientApi;

pub(crate) fn routes() -> RumaRouter<ClientApi> {
    RumaRouter::new()
        .endpoint::<session::get_login_types::v3::Request, _, _>(get_login_types::handler)
        .endpoint::<session::login::v3::Request, _, _>(login::handler)
        .endpoint::<session::get_login_token::v1::Request, _, _>(get_login_token::handler)
        .endpoint::<session::refresh_token::v3::Request, _, _>(refresh_token::handler)
        .endpoint::<session::logout::v3::Request, _, _>(logout::handler)
        .endpoint::<session::logout_all::v3::Request, _, _>(logout_all::handler)
        .raw::<NoAccessToken, _, _>(
            "session::get_password_policy",
            Method::GET,
            &[
                "/_matrix/client/v3/password_policy",
                "/_matrix/client/r0/password_policy",
                "/_matrix/client/unstable/password_policy",
            ],
            get_password_policy::handler,
        )
        .raw::<NoAccessToken, _, _>(
            "session::login_fallback",
            Method::GET,
            &["/_matrix/static/client/login", "/_matrix/static/client/login/"],
            login_fallback::handler,
        )
}

/// The answer to a client whose session begins.
pub(crate) fn started(user_id: &UserId, started: StartedSession) -> Map<String, Value> {
    let mut body = Map::new();
    body.insert("user_id".to_owned(), user_id.as_str().into());
    body.insert("home_server".to_owned(), user_id.server_name().as_str().into());
    body.insert("device_id".to_owned(), started.device_id.as_str().into());
    insert_tokens(&mut body, started);
    body
}

fn insert_tokens(body: &mut Map<String, Value>, started: StartedSession) {
    body.insert("access_token".to_owned(), started.access_token.into());
    body.extend(started.refresh_token.map(|token| ("refresh_token".to_owned(), token.into())));
    body.extend(started.expires_in_ms.map(|ms| ("expires_in_ms".to_owned(), ms.into())));
}
