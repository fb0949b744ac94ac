//! `GET /_matrix/static/client/login/` (client-server API, "Login Fallback").

use axum::response::Html;

#[tracing::instrument(name = "client.session.login_fallback", skip_all)]
pub(crate) async fn handler() -> Html<&'static str> {
    Html(include_str!("login_fallback.html"))
}
