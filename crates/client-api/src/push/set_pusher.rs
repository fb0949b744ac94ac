//! `POST /_matrix/client/v3/pushers/set` (client-server API, "Push Notifications").

use axum::{Json, extract::State};
use http::StatusCode;
use myelin_accounts::{
    Accounts,
    pushers::{self, SetPusherError},
};
use myelin_http::{ApiError, Raw};
use ruma::api::error::ErrorKind;
use serde_json::json;

use crate::Answer;

#[tracing::instrument(name = "client.push.set_pusher", skip_all, fields(user.id = %raw.requester.user_id))]
pub(crate) async fn handler(State(accounts): State<Accounts>, raw: Raw) -> Answer {
    let pusher = raw.json_object(false)?;
    pushers::set(&accounts, &raw.requester, pusher).await.map_err(to_api_error)?;
    Ok(Json(json!({})))
}

fn to_api_error(error: SetPusherError) -> ApiError {
    let message = error.to_string();
    match error {
        SetPusherError::Missing(_) => ApiError::missing_param(message),
        SetPusherError::Invalid(_) | SetPusherError::TooMany => ApiError::invalid_param(message),
        SetPusherError::NotOwnAddress => {
            ApiError::client(StatusCode::BAD_REQUEST, ErrorKind::ThreepidNotFound, message)
        }
        SetPusherError::Storage(error) => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use sqlx::PgPool;

    use crate::test_server;

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn pushers_go_with_their_device(pool: PgPool) {
        let server = test_server::open(pool).await;
        let alice = test_server::register(&server, "alice", "secret").await;
        let other = test_server::log_in(&server, "alice", "secret").await;
        let pusher = json!({
            "data": { "url": "https://push.example/_matrix/push/v1/notify" }, "profile_tag": "tag", "kind": "http",
            "app_id": "a", "app_display_name": "A", "device_display_name": "D", "pushkey": "k", "lang": "en"
        });
        let path = "/_matrix/client/v3/pushers";

        server.post(&format!("{path}/set"), Some(&other), pusher.clone()).await.ok();
        assert_eq!(server.get(path, Some(&alice)).await.ok(), json!({ "pushers": [pusher] }));
        server.post("/_matrix/client/v3/logout", Some(&other), json!({})).await.ok();

        assert_eq!(server.get(path, Some(&alice)).await.ok(), json!({ "pushers": [] }));
        let bad = json!({ "kind": "http", "app_id": "a", "pushkey": "k", "app_display_name": "A",
            "device_display_name": "D", "lang": "en", "data": { "url": "http://127.0.0.1/x" } });
        let refused = server.post(&format!("{path}/set"), Some(&alice), bad).await;
        assert_eq!(refused.error(), (400, "M_INVALID_PARAM"));
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn every_field_is_text(pool: PgPool) {
        let server = test_server::open(pool).await;
        let alice = server.user("alice").await;
        let url = "https://push.example/_matrix/push/v1/notify";
        let good = json!({
            "data": { "url": url }, "kind": "http", "app_id": "a", "app_display_name": "A",
            "device_display_name": "D", "pushkey": "k", "lang": "en", "profile_tag": "tag"
        });
        let path = "/_matrix/client/v3/pushers/set";
        for key in
            ["app_id", "app_display_name", "device_display_name", "pushkey", "lang", "profile_tag"]
        {
            let mut bad = good.clone();
            bad[key] = json!(true);
            let refused = server.post(path, Some(&alice), bad).await;
            assert_eq!(refused.error(), (400, "M_INVALID_PARAM"), "{key}");
        }
        server.post(path, Some(&alice), good).await.ok();
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn mail_goes_to_ones_own_address_and_pushers_are_not_countless(pool: PgPool) {
        let server = test_server::open(pool.clone()).await;
        let alice = server.user("alice").await;
        let set = async |kind: &str, pushkey: &str| {
            let url = "https://push.example/_matrix/push/v1/notify";
            let pusher = json!({
                "data": { "url": url }, "kind": kind, "app_id": "a", "app_display_name": "A",
                "device_display_name": "D", "pushkey": pushkey, "lang": "en", "append": true
            });
            server.post("/_matrix/client/v3/pushers/set", Some(&alice), pusher).await
        };
        let refused = set("email", "victim@example.org").await;
        assert_eq!(refused.error(), (400, "M_THREEPID_NOT_FOUND"));
        sqlx::query("INSERT INTO threepids VALUES ('email', 'alice@example.org', $1, 0, 0)")
            .bind(alice.user_id.as_str())
            .execute(&pool)
            .await
            .unwrap();
        set("email", "Alice@example.org").await.ok();

        for number in 1..100 {
            set("http", &format!("k{number}")).await.ok();
        }
        assert_eq!(set("http", "k100").await.error(), (400, "M_INVALID_PARAM"));
        set("http", "k99").await.ok();
    }
}
