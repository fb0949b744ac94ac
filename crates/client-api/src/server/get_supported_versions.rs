//! `GET /_matrix/client/versions` (client-server API, "API Versions").

use axum::{
    Json,
    extract::State,
    response::{IntoResponse as _, Response},
};
use http::header;
use myelin_accounts::Accounts;
use serde_json::json;

/// The versions whose endpoints are served. Clients choose paths by them.
const VERSIONS: &[&str] = &[
    "r0.0.1", "r0.1.0", "r0.2.0", "r0.3.0", "r0.4.0", "r0.5.0", "r0.6.0", "r0.6.1", "v1.1", "v1.2",
    "v1.3", "v1.4", "v1.5", "v1.6", "v1.7", "v1.8", "v1.9", "v1.10", "v1.11", "v1.12",
];

#[tracing::instrument(name = "client.server.get_supported_versions", skip_all)]
pub(crate) async fn handler(State(accounts): State<Accounts>) -> Response {
    let body = json!({
        "versions": VERSIONS,
        "unstable_features": {
            "org.matrix.label_based_filtering": true,
            "org.matrix.msc2432": true,
            "org.matrix.msc2285.stable": true,
            "org.matrix.msc3391": accounts.settings().account_data_deletable,
            "org.matrix.msc3440.stable": true,
            "org.matrix.msc3771": true,
            "org.matrix.msc3773": true,
            "org.matrix.msc3827.stable": true,
            "org.matrix.msc3874": true,
            "uk.tcpip.msc4133": true,
            "uk.tcpip.msc4133.stable": true,
            "org.matrix.msc4222": true,
        },
    });
    // The answer is the same for everybody, until the server is replaced.
    let headers = [
        (header::CACHE_CONTROL, "public, max-age=600, s-maxage=3600, stale-while-revalidate=600"),
        (header::VARY, "Authorization"),
    ];
    (headers, Json(body)).into_response()
}

#[cfg(test)]
mod tests {
    use sqlx::PgPool;

    use crate::test_server;

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn is_for_everybody(pool: PgPool) {
        let server = test_server::open(pool).await;
        let body = server.get("/_matrix/client/versions", None).await.ok();
        assert!(body["versions"].as_array().unwrap().iter().any(|version| version == "v1.11"));
    }
}
