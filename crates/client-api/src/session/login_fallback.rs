//! `GET /_matrix/static/client/login/` (client-server API, "Login Fallback").

use myelin_http::Page;

#[tracing::instrument(name = "client.session.login_fallback", skip_all)]
pub(crate) async fn handler() -> Page {
    Page(include_str!("login_fallback.html").into())
}
