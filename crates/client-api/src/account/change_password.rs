//! `POST /_matrix/client/v3/account/password` (client-server API, "Password management").

use axum::{Json, extract::State};
use myelin_accounts::{Accounts, deactivate, password::PASSWORD_LENGTH_CHARS_MAX};
use myelin_http::{ApiError, BearerToken, RateLimits, Raw};
use serde_json::{Value, json};

use super::register::check_policy;
use crate::{Answer, uia::require_auth};

#[tracing::instrument(name = "client.account.change_password", skip_all, fields(user.id = %raw.requester.user_id))]
pub(crate) async fn handler(
    State(accounts): State<Accounts>,
    State(rate_limits): State<RateLimits>,
    BearerToken(token): BearerToken,
    raw: Raw,
) -> Answer {
    let body = raw.json_object(true)?;
    match body.get("new_password") {
        None => {}
        Some(Value::String(new)) if new.chars().count() <= PASSWORD_LENGTH_CHARS_MAX => {
            check_policy(&accounts, new)?;
        }
        Some(_) => return Err(ApiError::bad_json("Invalid password")),
    }
    let log_out_devices = match body.get("logout_devices") {
        None => None,
        Some(Value::Bool(flag)) => Some(*flag),
        Some(_) => return Err(ApiError::bad_json("logout_devices must be true or false")),
    };
    let params = require_auth(&accounts, &rate_limits, &raw, body, &token, false).await?;
    let new_password = params
        .get("new_password")
        .and_then(Value::as_str)
        .ok_or_else(|| ApiError::missing_param("Missing params: password"))?;
    let log_out_devices =
        log_out_devices.or(params.get("logout_devices").and_then(Value::as_bool)).unwrap_or(true);
    let caller = &raw.requester;
    deactivate::set_password_in_clear(
        &accounts,
        &caller.user_id,
        new_password,
        log_out_devices,
        caller.device_id(),
    )
    .await
    .map_err(ApiError::internal)?;
    Ok(Json(json!({})))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use sqlx::PgPool;

    use crate::test_server;

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn ends_the_other_sessions(pool: PgPool) {
        let server = test_server::open(pool).await;
        let alice = test_server::register(&server, "alice", "old").await;
        let other = test_server::log_in(&server, "alice", "old").await;
        let auth = json!({ "type": "m.login.password", "password": "old", "identifier": { "type": "m.id.user", "user": "alice" } });
        let path = "/_matrix/client/v3/account/password";

        let body = json!({ "auth": auth, "new_password": "new" });
        server.post(path, Some(&alice), body).await.ok();

        let whoami = "/_matrix/client/v3/account/whoami";
        server.get(whoami, Some(&alice)).await.ok();
        assert_eq!(server.get(whoami, Some(&other)).await.error(), (401, "M_UNKNOWN_TOKEN"));
        test_server::log_in(&server, "alice", "new").await;
    }
}
