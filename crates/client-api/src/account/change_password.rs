//! `POST /_matrix/client/v3/account/password` (client-server API, "Password management").

use axum::{Json, extract::State};
use myelin_accounts::{
    Accounts, deactivate,
    password::{self, PASSWORD_LENGTH_CHARS_MAX},
};
use myelin_http::{ApiError, BearerToken, RateLimits, Raw};
use serde_json::{Value, json};

use super::register::check_policy;
use crate::{
    Answer,
    uia::{Demand, require_auth},
};

#[tracing::instrument(name = "client.account.change_password", skip_all, fields(user.id = %raw.requester.user_id))]
pub(crate) async fn handler(
    State(accounts): State<Accounts>,
    State(rate_limits): State<RateLimits>,
    BearerToken(token): BearerToken,
    raw: Raw,
) -> Answer {
    let body = raw.json_object(true)?;
    let new_password = match body.get("new_password") {
        None => None,
        Some(Value::String(new)) if new.chars().count() <= PASSWORD_LENGTH_CHARS_MAX => {
            check_policy(&accounts, new)?;
            Some(new.clone())
        }
        Some(_) => return Err(ApiError::bad_json("Invalid password")),
    };
    let log_out_devices = match body.get("logout_devices") {
        None => None,
        Some(Value::Bool(flag)) => Some(*flag),
        Some(_) => return Err(ApiError::bad_json("logout_devices must be true or false")),
    };
    let demand = Demand {
        token: &token,
        may_skip: false,
        kept: &["logout_devices"],
        new_password: new_password.as_deref(),
    };
    let proved = require_auth(&accounts, &rate_limits, &raw, body, &demand).await?;
    let log_out_devices = log_out_devices
        .or(proved.params.get("logout_devices").and_then(Value::as_bool))
        .unwrap_or(true);
    let hash = match new_password {
        Some(new) => password::hash(&accounts, &new).await.map_err(ApiError::internal)?,
        None => proved
            .password_hash
            .ok_or_else(|| ApiError::missing_param("Missing params: password"))?,
    };
    let caller = &raw.requester;
    deactivate::set_password(
        &accounts,
        &caller.user_id,
        &hash,
        log_out_devices,
        caller.device_id(),
    )
    .await
    .map_err(ApiError::internal)?;
    Ok(Json(json!({})))
}

#[cfg(test)]
mod tests {
    use myelin_accounts::AccountsSettings;
    use myelin_http::RateLimit;
    use serde_json::{Value, json};
    use sqlx::PgPool;

    use crate::test_server;

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn a_password_that_waits_for_a_proof_is_not_stored(pool: PgPool) {
        let server = test_server::open(pool.clone()).await;
        let alice = test_server::register(&server, "alice", "old").await;
        let path = "/_matrix/client/v3/account/password";

        let body = json!({ "new_password": "hunter2", "logout_devices": false });
        let challenge = server.post(path, Some(&alice), body).await;
        assert_eq!(challenge.status, 401);
        let stored: Vec<String> = sqlx::query_scalar("SELECT params || stages FROM uia_sessions")
            .fetch_all(&pool)
            .await
            .unwrap();
        assert!(stored.iter().all(|text| !text.contains("hunter2")), "{stored:?}");

        let auth = json!({ "type": "m.login.password", "password": "old", "session": challenge.body["session"],
            "identifier": { "type": "m.id.user", "user": "alice" } });
        server.post(path, Some(&alice), json!({ "auth": auth })).await.ok();
        test_server::log_in(&server, "alice", "hunter2").await;
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn requests_without_a_proof_are_limited(pool: PgPool) {
        let server =
            test_server::open_with(pool.clone(), AccountsSettings::default(), |settings| {
                let limit = RateLimit { per_second: 0.001, burst_count: 3.0 };
                settings.rate_limits.unproved_requests = limit;
            })
            .await;
        let alice = server.user("alice").await;
        let path = "/_matrix/client/v3/account/password";
        let ask = async |auth: &Value| {
            let body = json!({ "new_password": "new", "auth": auth });
            server.post(path, Some(&alice), body).await.status.as_u16()
        };
        let mut answers = vec![];
        for auth in [json!({}), json!({ "type": "nonsense" }), json!(null), json!({})] {
            answers.push(ask(&auth).await);
        }
        assert_eq!(answers, [401, 401, 401, 429]);
        let count = "SELECT count(*) FROM uia_sessions";
        let sessions: i64 = sqlx::query_scalar(count).fetch_one(&pool).await.unwrap();
        assert_eq!(sessions, 3);
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn an_empty_password_is_none(pool: PgPool) {
        let server = test_server::open(pool).await;
        let alice = test_server::register(&server, "alice", "old").await;
        let body = json!({ "new_password": "" });
        let refused = server.post("/_matrix/client/v3/account/password", Some(&alice), body).await;
        assert_eq!(refused.error(), (400, "M_WEAK_PASSWORD"));
        let login = json!({ "type": "m.login.password", "user": "alice", "password": "" });
        let refused = server.post("/_matrix/client/v3/login", None, login).await;
        assert_eq!(refused.error(), (403, "M_FORBIDDEN"));
    }

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
