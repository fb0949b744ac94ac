//! `POST /_matrix/client/v1/appservice/{appserviceId}/ping` (application service API, "Pinging").

use axum::{Json, extract::State};
use http::StatusCode;
use myelin_accounts::{
    Accounts,
    ping_appservice::{PingError, ping_appservice},
};
use myelin_http::{ApiError, Raw};
use ruma::api::auth_scheme::AppserviceToken;
use serde_json::json;

use crate::Answer;

#[tracing::instrument(name = "client.appservice.request_ping", skip_all, fields(appservice.id = raw.requester.appservice_id()))]
pub(crate) async fn handler(State(accounts): State<Accounts>, raw: Raw<AppserviceToken>) -> Answer {
    let id = raw.requester.appservice_id();
    let appservice = id
        .filter(|id| raw.path_arg(0).is_ok_and(|asked| asked == *id))
        .and_then(|id| accounts.appservices().find(id))
        .ok_or_else(|| ApiError::forbidden("Mismatching application service ID in path"))?;
    let body = raw.json_object(false)?;
    let took = ping_appservice(&accounts, appservice, body.get("transaction_id"))
        .await
        .map_err(to_api_error)?;
    let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    Ok(Json(json!({ "duration_ms": duration_ms })))
}

fn to_api_error(error: PingError) -> ApiError {
    let message = error.to_string();
    let plain = |status, errcode| ApiError::with_fields(status, errcode, message.clone(), []);
    match error {
        PingError::NoUrl => plain(StatusCode::BAD_REQUEST, "M_URL_NOT_SET"),
        PingError::BadStatus { status, body } => {
            let body = body.map(|body| ("body", body.into()));
            let fields = [("status", status.into())].into_iter().chain(body);
            ApiError::with_fields(StatusCode::BAD_GATEWAY, "M_BAD_STATUS", message, fields)
        }
        PingError::Timeout => plain(StatusCode::GATEWAY_TIMEOUT, "M_CONNECTION_TIMEOUT"),
        PingError::NotJson | PingError::NotReached(_) => {
            plain(StatusCode::BAD_GATEWAY, "M_CONNECTION_FAILED")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use axum::{
        Router,
        http::{HeaderMap, StatusCode},
        routing::post,
    };
    use serde_json::json;
    use sqlx::PgPool;
    use tokio::net::TcpListener;

    use crate::test_bridge;

    const PATH: &str = "/_matrix/client/v1/appservice/bridge/ping";

    /// An application service that answers pings in one way, and where it listens. What it was sent is noted.
    async fn listen(status: StatusCode, body: &'static str) -> (String, Arc<Mutex<Vec<String>>>) {
        let heard = Arc::new(Mutex::new(vec![]));
        let notes = Arc::clone(&heard);
        let answer = post(async move |headers: HeaderMap, request: String| {
            let token = headers["authorization"].to_str().unwrap();
            notes.lock().unwrap().push(format!("{token} {request}"));
            (status, [("location", "/_matrix/app/v1/ping")], body)
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().route("/_matrix/app/v1/ping", answer);
        tokio::spawn(async move { axum::serve(listener, router).await });
        (url, heard)
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn an_application_service_hears_its_ping(pool: PgPool) {
        let (url, heard) = listen(StatusCode::OK, "{}").await;
        let (server, bridge) =
            test_bridge::open(pool, |bridge| bridge.url = Some(format!("{url}/")), |_| {}).await;

        let body = json!({"transaction_id": "t1"});
        let answer = server.post(PATH, Some(&bridge), body).await.ok();
        assert!(answer["duration_ms"].is_u64(), "{answer}");
        server.post(PATH, Some(&bridge), json!({})).await.ok();
        let heard = heard.lock().unwrap().clone();
        let expect =
            ["\"t1\"", "null"].map(|id| format!("Bearer hs_token {{\"transaction_id\":{id}}}"));
        assert_eq!(heard, expect);

        // It pings nobody but itself, and nobody pings it.
        let other = "/_matrix/client/v1/appservice/other/ping";
        let refused = server.post(other, Some(&bridge), json!({})).await;
        assert_eq!(refused.error(), (403, "M_FORBIDDEN"));
        let alice = server.user("alice").await;
        let refused = server.post(PATH, Some(&alice), json!({})).await;
        assert_eq!(refused.error(), (403, "M_FORBIDDEN"));
        assert_eq!(server.post(PATH, None, json!({})).await.error(), (401, "M_MISSING_TOKEN"));
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn what_went_wrong_is_told(pool: PgPool) {
        let ping = async |url: Option<String>| {
            let (server, bridge) =
                test_bridge::open(pool.clone(), |bridge| bridge.url = url, |_| {}).await;
            server.post(PATH, Some(&bridge), json!({})).await
        };
        assert_eq!(ping(None).await.error(), (400, "M_URL_NOT_SET"));
        let refusal = r#"{"errcode":"M_UNKNOWN_TOKEN"}"#;
        let (url, _) = listen(StatusCode::UNAUTHORIZED, refusal).await;
        let answer = ping(Some(url)).await;
        assert_eq!(answer.error(), (502, "M_BAD_STATUS"));
        assert_eq!((&answer.body["status"], &answer.body["body"]), (&json!(401), &json!(refusal)));
        let (url, heard) = listen(StatusCode::TEMPORARY_REDIRECT, "").await;
        let answer = ping(Some(url)).await;
        assert_eq!(answer.error(), (502, "M_BAD_STATUS"));
        assert_eq!((&answer.body["status"], heard.lock().unwrap().len()), (&json!(307), 1));
        let (url, _) = listen(StatusCode::OK, "<html>").await;
        assert_eq!(ping(Some(url)).await.error(), (502, "M_CONNECTION_FAILED"));
        // Nobody listens at the port of a listener that is gone.
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        for url in [format!("http://{gone}"), "nonsense".to_owned(), "ftp://a".to_owned()] {
            let answer = ping(Some(url.clone())).await;
            assert_eq!(answer.error(), (502, "M_CONNECTION_FAILED"), "{url}: {}", answer.text);
        }
    }
}
