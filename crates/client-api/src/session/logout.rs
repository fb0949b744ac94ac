//! `POST /_matrix/client/v3/logout` (client-server API, "Logging out").

use axum::{Json, extract::State};
use myelin_accounts::{Accounts, session};
use myelin_http::{BearerToken, Raw};
use serde_json::json;

use crate::Answer;

#[tracing::instrument(name = "client.session.logout", skip_all, fields(user.id = %raw.requester.user_id))]
pub(crate) async fn handler(
    State(accounts): State<Accounts>,
    BearerToken(token): BearerToken,
    raw: Raw,
) -> Answer {
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
        assert!(server.parts.db.list_devices(&alice.user_id).await.unwrap().is_empty());
    }
}
