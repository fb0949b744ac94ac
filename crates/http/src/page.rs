//! Pages for people's browsers.

use std::borrow::Cow;

use axum::response::{Html, IntoResponse, Response};
use http::{HeaderValue, header};

/// A page of HTML. No other page may show it in a frame of its own, where people would take it for something else.
#[derive(Debug)]
pub struct Page(pub Cow<'static, str>);

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let mut response = Html(self.0).into_response();
        let headers = response.headers_mut();
        headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
        let policy = HeaderValue::from_static("frame-ancestors 'none';");
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
        response
    }
}
