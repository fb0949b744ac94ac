//! GET /.well-known/matrix/client, /server and /support (client-server API, server discovery; MSC1929).

use axum::{
    Router,
    http::header,
    response::{IntoResponse, Json, Response},
    routing::get,
};
use serde_json::{Value, json};

/// The well-known documents. Each is served only if the config asks for it.
#[derive(Clone, Debug, Default)]
pub struct WellKnownDocuments {
    /// The document for clients.
    pub client: Option<Value>,
    /// The document for other servers.
    pub server: Option<Value>,
    /// The document for people who need help.
    pub support: Option<Value>,
}

impl WellKnownDocuments {
    /// Makes the documents from the config.
    pub fn new(config: &myelin_config::Config) -> WellKnownDocuments {
        let client = config.server.public_baseurl.as_ref().map(|url| {
            let mut document = config.well_known.extra_client_content.clone();
            document.insert("m.homeserver".to_owned(), json!({"base_url": url}));
            if let Some(url) = &config.registration.default_identity_server {
                document.insert("m.identity_server".to_owned(), json!({"base_url": url}));
            }
            Value::Object(document)
        });
        let server = config
            .well_known
            .serve_server
            .then(|| json!({"m.server": format!("{}:443", config.server.server_name)}));
        WellKnownDocuments { client, server, support: support(config) }
    }
}

/// The document for people who need help. `admin_contact` is not in it: as in Synapse, only users whom the server
/// blocks are told of it.
fn support(config: &myelin_config::Config) -> Option<Value> {
    config.well_known.support_page.as_ref().map(|page| json!({"support_page": page}))
}

/// The documents at their places, readable from any web page.
pub fn well_known_routes(documents: WellKnownDocuments) -> Router {
    let serve = |document: Option<Value>| {
        get(move || async move {
            match document {
                Some(document) => answer(document),
                None => not_found(),
            }
        })
    };
    Router::new()
        .route("/.well-known/matrix/client", serve(documents.client))
        .route("/.well-known/matrix/server", serve(documents.server))
        .route("/.well-known/matrix/support", serve(documents.support))
        .method_not_allowed_fallback(async || myelin_http::ApiError::method_not_allowed())
}

/// No cache may keep it: a server that moves is found where it was for as long.
fn answer(document: Value) -> Response {
    let headers = [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (header::CACHE_CONTROL, "no-cache, no-store, must-revalidate"),
    ];
    (headers, Json(document)).into_response()
}

fn not_found() -> Response {
    let body = Json(
        json!({"errcode": "M_NOT_FOUND", "error": "This server does not publish this document"}),
    );
    (axum::http::StatusCode::NOT_FOUND, [(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*")], body)
        .into_response()
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, http::Request};
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test]
    async fn every_error_has_a_code() {
        for (method, path, status, errcode) in [
            ("GET", "/.well-known/matrix/client", 404, "M_NOT_FOUND"),
            ("PUT", "/.well-known/matrix/client", 405, "M_UNRECOGNIZED"),
            ("PATCH", "/.well-known/matrix/server", 405, "M_UNRECOGNIZED"),
        ] {
            let router = well_known_routes(WellKnownDocuments::default());
            let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
            let answer = router.oneshot(request).await.unwrap();
            assert_eq!(answer.status(), status, "{method} {path}");
            let body = axum::body::to_bytes(answer.into_body(), 10_000).await.unwrap();
            let body: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(body["errcode"], errcode, "{method} {path}");
        }
    }
}
