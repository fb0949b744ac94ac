//! The routes that a listener serves: decided by its kind and the names of its resources.

use std::sync::Arc;

use axum::Router;
use myelin_config::{
    Config,
    sections::listeners::{Listener, ListenerKind, Resource},
};
use myelin_http::RumaRouter;
use tower_http::compression::CompressionLayer;

use super::parts::Parts;
use crate::{
    pages::{WellKnownDocuments, health_routes, landing_routes, well_known_routes},
    telemetry::metrics::{Metrics, metrics_everywhere, metrics_routes},
};

/// The routes of a listener.
pub fn for_listener(
    listener: &Listener,
    config: &Config,
    parts: &Parts,
    metrics: &Arc<Metrics>,
) -> Router {
    if listener.kind == ListenerKind::Metrics {
        return metrics_everywhere(metrics);
    }
    let mut matrix = RumaRouter::new();
    if listener.serves(Resource::Client) {
        matrix = matrix
            .merge(myelin_client_api::routes().with_state(parts.client_api.clone()))
            .merge(myelin_admin_api::routes().with_state(parts.admin_api.clone()));
    }
    // Answers what is not there with the errors that Matrix asks for.
    let mut router = matrix.finish().merge(health_routes());
    if listener.serves(Resource::Client) {
        router = router.merge(well_known_routes(WellKnownDocuments::new(config)));
    }
    if listener.serves(Resource::Client) || listener.serves(Resource::Static) {
        router = router.merge(landing_routes(config.server.web_client_location.clone()));
    }
    if listener.serves(Resource::Metrics) && config.server.enable_metrics {
        router = router.merge(metrics_routes(metrics));
    }
    if listener.compress { router.layer(CompressionLayer::new().gzip(true)) } else { router }
}
