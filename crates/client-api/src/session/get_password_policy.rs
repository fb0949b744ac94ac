//! `GET /_matrix/client/v3/password_policy` (MSC2000, which the specification does not have, and Synapse does).

use axum::{Json, extract::State};
use myelin_accounts::Accounts;
use serde_json::{Value, json};

#[tracing::instrument(name = "client.session.get_password_policy", skip_all)]
pub(crate) async fn handler(State(accounts): State<Accounts>) -> Json<Value> {
    let policy = &accounts.settings().password_policy;
    if !policy.enabled {
        return Json(json!({}));
    }
    Json(json!({
        "m.minimum_length": policy.minimum_length,
        "m.require_digit": policy.require_digit,
        "m.require_symbol": policy.require_symbol,
        "m.require_lowercase": policy.require_lowercase,
        "m.require_uppercase": policy.require_uppercase,
    }))
}

#[cfg(test)]
mod tests {
    use myelin_accounts::{AccountsSettings, PasswordPolicy};
    use serde_json::json;
    use sqlx::PgPool;

    use crate::test_server;

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn a_policy_is_told_where_it_holds(pool: PgPool) {
        let path = "/_matrix/client/v3/password_policy";
        let server = test_server::open(pool.clone()).await;
        assert_eq!(server.get(path, None).await.ok(), json!({}));

        let policy = PasswordPolicy {
            enabled: true,
            minimum_length: 6,
            require_digit: true,
            ..PasswordPolicy::default()
        };
        let settings = AccountsSettings { password_policy: policy, ..AccountsSettings::default() };
        let server = test_server::open_with(pool, settings, |_| {}).await;
        let told = json!({"m.minimum_length": 6, "m.require_digit": true, "m.require_symbol": false,
            "m.require_lowercase": false, "m.require_uppercase": false});
        for version in ["v3", "r0", "unstable"] {
            let path = format!("/_matrix/client/{version}/password_policy");
            assert_eq!(server.get(&path, None).await.ok(), told);
        }
    }
}
