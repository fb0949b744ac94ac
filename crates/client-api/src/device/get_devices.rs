//! `GET /_matrix/client/v3/devices` (client-server API, "Device management").

use axum::{Json, extract::State};
use myelin_accounts::{Accounts, devices};
use myelin_http::Raw;
use serde_json::{Value, json};

use crate::Answer;

#[tracing::instrument(name = "client.device.get_devices", skip_all, fields(user.id = %raw.requester.user_id))]
pub(crate) async fn handler(State(accounts): State<Accounts>, raw: Raw) -> Answer {
    let user_id = &raw.requester.user_id;
    let devices = devices::list(&accounts, user_id).await?;
    let devices: Vec<Value> =
        devices.iter().map(|device| super::to_json(user_id, device)).collect();
    Ok(Json(json!({ "devices": devices })))
}

#[cfg(test)]
mod tests {
    use myelin_model::Clock as _;
    use myelin_testing::TestServer;
    use sqlx::PgPool;

    use crate::test_server::open;

    async fn last_seen(server: &TestServer, user: &myelin_testing::TestUser) -> (u64, String) {
        let devices = server.get("/_matrix/client/v3/devices", Some(user)).await.ok();
        let device = &devices["devices"][0];
        let ip = device["last_seen_ip"].as_str().unwrap_or_default().to_owned();
        (device["last_seen_ts"].as_u64().unwrap_or_default(), ip)
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn a_device_shows_when_and_from_where_it_called(pool: PgPool) {
        let server = open(pool).await;
        let alice = server.user("alice").await;
        let first_ms = server.parts.clock.now_ms();
        assert_eq!(last_seen(&server, &alice).await, (first_ms, "127.0.0.1".to_owned()));

        // Written and not written yet look alike.
        server.parts.db.user_ips().write().await.unwrap();
        server.parts.clock.advance_ms(5_000);

        assert_eq!(last_seen(&server, &alice).await.0, first_ms + 5_000);
        let path = "/_matrix/client/v3/devices/DEV";
        let device = server.get(path, Some(&alice)).await.ok();
        assert_eq!(device["last_seen_ts"], first_ms + 5_000);
    }
}
