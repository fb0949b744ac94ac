//! `GET /_matrix/client/versions` (client-server API, "API Versions").

use axum::{
    Json,
    extract::State,
    response::{IntoResponse as _, Response},
};
use http::header;
use myelin_accounts::Accounts;
use serde_json::json;

/// The versions that are told to clients, which choose paths by them. Synapse goes on to v1.12. What v1.7 to v1.12 bring beside media is
/// served here; but v1.7 says, too, that media IDs are given out before their upload (`POST /_matrix/media/v1/create`), and v1.11 that
/// media are read with a token, and whoever believes that fails. Pings of application services, which came with v1.7 and without
/// which bridges give up, are told of by `fi.mau.msc2659.stable`.
const VERSIONS: &[&str] = &[
    "r0.0.1", "r0.1.0", "r0.2.0", "r0.3.0", "r0.4.0", "r0.5.0", "r0.6.0", "r0.6.1", "v1.1", "v1.2",
    "v1.3", "v1.4", "v1.5", "v1.6",
];

#[tracing::instrument(name = "client.server.get_supported_versions", skip_all)]
pub(crate) async fn handler(State(accounts): State<Accounts>) -> Response {
    let body = json!({
        "versions": VERSIONS,
        "unstable_features": {
            "org.matrix.msc2432": true,
            "org.matrix.msc2285.stable": true,
            "org.matrix.msc3391": accounts.settings().account_data_deletable,
            "org.matrix.msc3440.stable": true,
            "org.matrix.msc3771": true,
            "org.matrix.msc3773": true,
            "org.matrix.msc3827.stable": true,
            "org.matrix.msc3874": true,
            "fi.mau.msc2659.stable": true,
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
    use serde_json::json;
    use sqlx::PgPool;

    use crate::test_server;

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn is_for_everybody(pool: PgPool) {
        let server = test_server::open(pool).await;
        let body = server.get("/_matrix/client/versions", None).await.ok();
        assert!(body["versions"].as_array().unwrap().iter().any(|version| version == "v1.6"));
        // Filters know no labels, so clients must not rely on them.
        assert_eq!(body["unstable_features"]["org.matrix.label_based_filtering"], json!(null));
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn what_is_advertised_is_served(pool: PgPool) {
        let server = test_server::open(pool).await;
        let body = server.get("/_matrix/client/versions", None).await.ok();
        let is_served = async |path: &str| {
            server.post(path, None, json!({})).await.error().1 != "M_UNRECOGNIZED"
        };
        for (version, path) in [("v1.7", "/_matrix/media/v1/create")] {
            let is_told = body["versions"].as_array().unwrap().contains(&json!(version));
            assert_eq!(is_told, is_served(path).await, "{version}");
        }
        for (feature, path) in
            [("fi.mau.msc2659.stable", "/_matrix/client/v1/appservice/bridge/ping")]
        {
            let is_told = body["unstable_features"][feature] == true;
            assert_eq!(is_told, is_served(path).await, "{feature}");
        }
    }
}
