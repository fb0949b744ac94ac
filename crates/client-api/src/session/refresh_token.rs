//! `POST /_matrix/client/v3/refresh` (client-server API, "Refreshing access tokens").

use axum::{Json, extract::State};
use myelin_accounts::{
    Accounts,
    session::{self, RefreshError},
};
use myelin_http::{ApiError, Raw};
use ruma::api::auth_scheme::NoAccessToken;
use serde_json::{Map, Value};

use crate::Answer;

#[tracing::instrument(name = "client.session.refresh_token", skip_all)]
pub(crate) async fn handler(State(accounts): State<Accounts>, raw: Raw<NoAccessToken>) -> Answer {
    let body = raw.json_object(false)?;
    let token = match body.get("refresh_token") {
        Some(Value::String(token)) => token,
        Some(_) => return Err(ApiError::invalid_param("refresh_token must be a string")),
        None => return Err(ApiError::missing_param("Missing refresh_token")),
    };
    let refreshed = session::refresh(&accounts, token).await.map_err(to_api_error)?;
    let mut body = Map::new();
    super::insert_tokens(&mut body, refreshed);
    Ok(Json(Value::Object(body)))
}

fn to_api_error(error: RefreshError) -> ApiError {
    let message = error.to_string();
    match error {
        RefreshError::Unknown => ApiError::unknown_token(false, message),
        RefreshError::Used | RefreshError::Expired => ApiError::forbidden(message),
        RefreshError::Storage(error) => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use sqlx::PgPool;

    use crate::test_server;

    const PATH: &str = "/_matrix/client/v3/refresh";

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn a_token_may_be_exchanged_again_until_what_it_gave_is_used(pool: PgPool) {
        let server = test_server::open(pool).await;
        let mut alice = test_server::register(&server, "alice", "secret").await;
        let login = json!({ "type": "m.login.password", "user": "alice", "password": "secret", "refresh_token": true });
        let first = server.post("/_matrix/client/v3/login", None, login).await.ok();
        assert_eq!(first["expires_in_ms"], 300_000);
        let exchange =
            || server.post(PATH, None, json!({ "refresh_token": first["refresh_token"] }));

        exchange().await.ok();
        let second = exchange().await.ok();
        alice.token = second["access_token"].as_str().unwrap().to_owned();
        let whoami = "/_matrix/client/v3/account/whoami";
        server.get(whoami, Some(&alice)).await.ok();
        assert_eq!(exchange().await.error(), (401, "M_UNKNOWN_TOKEN"));

        server.parts.clock.advance_ms(300_001);
        let expired = server.get(whoami, Some(&alice)).await;
        assert_eq!(expired.error(), (401, "M_UNKNOWN_TOKEN"));
        assert_eq!(expired.body["soft_logout"], true);
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn the_old_access_token_ends_when_the_new_one_is_used(pool: PgPool) {
        let server = test_server::open(pool).await;
        let mut alice = test_server::register(&server, "alice", "secret").await;
        let login = json!({ "type": "m.login.password", "user": "alice", "password": "secret", "refresh_token": true });
        let first = server.post("/_matrix/client/v3/login", None, login).await.ok();
        let body = json!({ "refresh_token": first["refresh_token"] });
        let second = server.post(PATH, None, body).await.ok();
        let mut whoami = async |tokens: &serde_json::Value| {
            alice.token = tokens["access_token"].as_str().unwrap().to_owned();
            server.get("/_matrix/client/v3/account/whoami", Some(&alice)).await
        };

        // The answer may have been lost on its way, so the old one still holds; and the node remembers it now.
        whoami(&first).await.ok();
        whoami(&second).await.ok();

        assert_eq!(whoami(&first).await.error(), (401, "M_UNKNOWN_TOKEN"));
        whoami(&second).await.ok();
    }
}
