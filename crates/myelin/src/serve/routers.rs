//! Which routes a listener serves: decided by its kind and the names of its resources.

use std::sync::Arc;

use axum::{
    Router,
    http::StatusCode,
    response::{IntoResponse, Json, Response},
};
use myelin_config::{
    Config,
    sections::listeners::{Listener, ListenerKind, Resource},
};
use serde_json::json;

use super::parts::Parts;
use crate::{
    pages::{WellKnownDocuments, health_routes, landing_routes, well_known_routes},
    telemetry::metrics::{Metrics, metrics_everywhere, metrics_routes},
};

/// The routes of a listener.
pub fn for_listener(
    listener: &Listener,
    config: &Config,
    _parts: &Parts,
    metrics: &Arc<Metrics>,
) -> Router {
    if listener.kind == ListenerKind::Metrics {
        return metrics_everywhere(metrics);
    }
    let mut router = health_routes();
    if listener.serves(Resource::Client) {
        router = router.merge(well_known_routes(WellKnownDocuments::new(config)));
    }
    if listener.serves(Resource::Client) || listener.serves(Resource::Static) {
        router = router.merge(landing_routes(config.server.web_client_location.clone()));
    }
    if listener.serves(Resource::Metrics) && config.server.enable_metrics {
        router = router.merge(metrics_routes(metrics));
    }
    router.fallback(unrecognized)
}

/// What is not there gets the error that Matrix asks for.
async fn unrecognized() -> Response {
    let body = Json(json!({"errcode": "M_UNRECOGNIZED", "error": "Unrecognized request"}));
    (StatusCode::NOT_FOUND, body).into_response()
}
