//! `DELETE /_matrix/client/v3/devices/{deviceId}` (client-server API, "Device management").

use axum::{Json, extract::State};
use myelin_accounts::{Accounts, devices};
use myelin_http::{BearerToken, RateLimits, Raw};
use serde_json::json;

use crate::{
    Answer,
    uia::{Demand, require_auth},
};

#[tracing::instrument(name = "client.device.delete_device", skip_all, fields(user.id = %raw.requester.user_id))]
pub(crate) async fn handler(
    State(accounts): State<Accounts>,
    State(rate_limits): State<RateLimits>,
    BearerToken(token): BearerToken,
    raw: Raw,
) -> Answer {
    // Clients send DELETE without a body, or with one that proxies took away.
    let body = raw.json_object(true)?;
    if raw.requester.appservice_id().is_none() {
        require_auth(
            &accounts,
            &rate_limits,
            &raw,
            body,
            &Demand { token: &token, may_skip: true, kept: &[], new_password: None },
        )
        .await?;
    }
    let device_id = raw.path_arg(0)?.into();
    devices::delete(&accounts, &raw.requester.user_id, &[device_id]).await?;
    Ok(Json(json!({})))
}

#[cfg(test)]
mod tests {
    use http::Method;
    use serde_json::json;
    use sqlx::PgPool;

    use crate::test_server;

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn needs_the_owners_password(pool: PgPool) {
        let server = test_server::open(pool).await;
        let alice = test_server::register(&server, "alice", "secret").await;
        test_server::register(&server, "bob", "bobs").await;
        let other = test_server::log_in(&server, "alice", "secret").await;
        let path = format!("/_matrix/client/v3/devices/{}", other.device_id);
        let delete = async |user: &str, password: &str| {
            let identifier = json!({ "type": "m.id.user", "user": user });
            let body = json!({ "auth": { "type": "m.login.password", "password": password, "identifier": identifier } });
            server.request(Method::DELETE, &path, Some(&alice), Some(body)).await
        };

        assert_eq!(server.delete(&path, Some(&alice)).await.status, 401);
        assert_eq!(delete("alice", "wrong").await.error(), (401, "M_FORBIDDEN"));
        assert_eq!(delete("bob", "bobs").await.error(), (403, "M_FORBIDDEN"));
        // Whether the password is bob's is not told.
        assert_eq!(delete("bob", "wrong").await.error(), (403, "M_FORBIDDEN"));
        server.get(&path, Some(&alice)).await.ok();
        delete("alice", "secret").await.ok();

        assert_eq!(server.get(&path, Some(&alice)).await.error(), (404, "M_NOT_FOUND"));
        assert_eq!(server.get(&path, Some(&other)).await.error(), (401, "M_UNKNOWN_TOKEN"));
    }
}
