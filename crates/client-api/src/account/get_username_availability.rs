//! `GET /_matrix/client/v3/register/available` (client-server API, "Account registration").

use axum::{Json, extract::State};
use myelin_accounts::{
    Accounts,
    registration::{self, UsernameRules},
};
use myelin_http::{ApiError, RateLimits, Raw};
use ruma::api::auth_scheme::NoAccessToken;
use serde::Deserialize;
use serde_json::json;

use crate::Answer;

#[derive(Deserialize)]
struct Query {
    username: String,
}

#[tracing::instrument(name = "client.account.get_username_availability", skip_all)]
pub(crate) async fn handler(
    State(accounts): State<Accounts>,
    State(rate_limits): State<RateLimits>,
    raw: Raw<NoAccessToken>,
) -> Answer {
    if !accounts.settings().enable_registration {
        return Err(ApiError::forbidden("Registration has been disabled"));
    }
    rate_limits.username_availability.check(&raw.address.to_string())?;
    let username = raw.query::<Query>()?.username;
    let rules = UsernameRules {
        inhibit_in_use: accounts.settings().inhibit_user_in_use_error,
        ..UsernameRules::default()
    };
    registration::check_username(&accounts, &username, &rules)
        .await
        .map_err(super::register::to_api_error)?;
    Ok(Json(json!({ "available": true })))
}

#[cfg(test)]
mod tests {
    use sqlx::PgPool;

    use crate::test_server;

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn says_why_not(pool: PgPool) {
        let server = test_server::open(pool).await;
        server.user("alice").await;
        let path = "/_matrix/client/v3/register/available?username=";
        for (name, expected) in [
            ("bob", (200, "")),
            ("alice", (400, "M_USER_IN_USE")),
            ("a,b", (400, "M_INVALID_USERNAME")),
        ] {
            assert_eq!(server.get(&format!("{path}{name}"), None).await.error(), expected);
        }
    }
}
