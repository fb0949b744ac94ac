//! `POST /_matrix/client/v3/account/deactivate` (client-server API, "Account deactivation").

use axum::{Json, extract::State};
use myelin_accounts::{Accounts, deactivate};
use myelin_http::{ApiError, BearerToken, RateLimits, Raw};
use myelin_rooms::{Rooms, membership};
use serde_json::{Value, json};

use crate::{Answer, uia::require_auth};

#[tracing::instrument(name = "client.account.deactivate", skip_all, fields(user.id = %raw.requester.user_id))]
pub(crate) async fn handler(
    State(accounts): State<Accounts>,
    State(rate_limits): State<RateLimits>,
    State(rooms): State<Rooms>,
    BearerToken(token): BearerToken,
    raw: Raw,
) -> Answer {
    let body = raw.json_object(true)?;
    if body.get("erase").is_some_and(|erase| !erase.is_boolean()) {
        return Err(ApiError::bad_json("erase must be true or false"));
    }
    // Users of application services have no password to be asked for.
    let params = if raw.requester.appservice_id.is_some() {
        body
    } else {
        require_auth(&accounts, &rate_limits, &raw, body, &token, false).await?
    };
    let erase = params.get("erase").and_then(Value::as_bool).unwrap_or_default();
    deactivate::deactivate(&accounts, &raw.requester.user_id, erase).await?;
    membership::leave_all(&rooms, &raw.requester).await?;
    // There is no identity server that this server told of the user's addresses.
    Ok(Json(json!({ "id_server_unbind_result": "success" })))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use sqlx::PgPool;

    use crate::test_server;

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn needs_the_password_and_is_for_good(pool: PgPool) {
        let server = test_server::open(pool).await;
        let alice = test_server::register(&server, "alice", "secret").await;
        let path = "/_matrix/client/v3/account/deactivate";
        let auth = |password: &str| {
            let identifier = json!({ "type": "m.id.user", "user": "alice" });
            json!({ "auth": { "type": "m.login.password", "password": password, "identifier": identifier } })
        };

        let challenge = server.post(path, Some(&alice), json!({})).await;
        assert_eq!(challenge.body["flows"], json!([{ "stages": ["m.login.password"] }]));
        assert_eq!(server.post(path, Some(&alice), auth("no")).await.error(), (401, "M_FORBIDDEN"));
        let body = server.post(path, Some(&alice), auth("secret")).await.ok();

        assert_eq!(body["id_server_unbind_result"], "success");
        let login = json!({ "type": "m.login.password", "user": "alice", "password": "secret" });
        let refused = server.post("/_matrix/client/v3/login", None, login).await;
        assert_eq!(refused.error(), (403, "M_USER_DEACTIVATED"));
    }
}
