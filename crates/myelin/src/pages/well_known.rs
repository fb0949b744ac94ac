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
}

fn answer(document: Value) -> Response {
    ([(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*")], Json(document)).into_response()
}

fn not_found() -> Response {
    let body = Json(
        json!({"errcode": "M_NOT_FOUND", "error": "This server does not publish this document"}),
    );
    (axum::http::StatusCode::NOT_FOUND, [(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*")], body)
        .into_response()
}
