//! GET / and GET /_matrix/static/: tells people with a browser that a server is here.

use std::borrow::Cow;

use axum::{Router, response::Redirect, routing::get};
use myelin_http::Page;

const PAGE: &str = include_str!("landing.html");

/// `/` leads to `web_client_location`, or else to the landing page.
pub fn landing_routes(web_client_location: Option<String>) -> Router {
    let target = web_client_location.unwrap_or_else(|| "/_matrix/static/".to_owned());
    Router::new()
        .route("/", get(move || async move { Redirect::to(&target) }))
        .route("/_matrix/static/", get(|| async { Page(Cow::Borrowed(PAGE)) }))
        .route("/_matrix/static", get(|| async { Redirect::to("/_matrix/static/") }))
}
