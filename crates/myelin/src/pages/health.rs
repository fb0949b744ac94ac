//! GET /health: 200 `OK` as soon as the server serves.

use axum::{Router, routing::get};

/// `/health`, on every http listener.
pub fn health_routes() -> Router {
    Router::new().route("/health", get(|| async { "OK" }))
}
