//! `POST /_matrix/client/v3/logout` (client-server API, "Logging out").

use axum::{Json, extract::State};
use myelin_accounts::{Accounts, session};
use myelin_http::{ApiError, BearerToken, Raw};
use serde_json::json;

use crate::Answer;

#[tracing::instrument(name = "client.session.logout", skip_all, fields(user.id = %raw.requester.user_id))]
pub(crate) async fn handler(
    State(accounts): State<Accounts>,
    BearerToken(token): BearerToken,
    raw: Raw,
) -> Answer {
    let caller = &raw.requester;
    // The token of an application service is no session that could end.
    if caller.appservice_id().is_some() && caller.device_id().is_none() {
        return Err(ApiError::unknown_token(false, "Unrecognised access token"));
    }
    session::log_out(&accounts, &raw.requester, &token).await?;
    Ok(Json(json!({})))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use sqlx::PgPool;

    use crate::test_server;

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn ends_the_session_and_its_device(pool: PgPool) {
        let server = test_server::open(pool).await;
        let alice = server.user("alice").await;

        server.post("/_matrix/client/v3/logout", Some(&alice), json!({})).await.ok();

        let devices = server.get("/_matrix/client/v3/devices", Some(&alice)).await;
        assert_eq!(devices.error(), (401, "M_UNKNOWN_TOKEN"));
        assert!(server.parts.db.devices().list(&alice.user_id).await.unwrap().is_empty());
    }
    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn the_settings_of_a_device_go_with_it(pool: PgPool) {
        let server = test_server::open(pool).await;
        let alice = test_server::register(&server, "alice", "secret").await;
        let settings = async |device_id: &str| {
            let data_type = format!("org.matrix.msc3890.local_notification_settings.{device_id}");
            server.parts.db.account_data().find(&alice.user_id, None, &data_type).await.unwrap()
        };
        for path in ["logout", "logout/all"] {
            let (first, second) = (
                test_server::log_in(&server, "alice", "secret").await,
                test_server::log_in(&server, "alice", "secret").await,
            );
            for device in [&first, &second] {
                let path = format!(
                    "/_matrix/client/v3/user/{}/account_data/org.matrix.msc3890.local_notification_settings.{}",
                    alice.user_id, device.device_id
                );
                server.put(&path, Some(&first), json!({"is_silenced": true})).await.ok();
            }

            let path = format!("/_matrix/client/v3/{path}");
            server.post(&path, Some(&second), json!({})).await.ok();

            assert!(settings(second.device_id.as_str()).await.is_none());
            assert_eq!(
                settings(first.device_id.as_str()).await.is_some(),
                path.ends_with("logout")
            );
        }
    }
}
