//! `PUT /_matrix/client/v3/sendToDevice/{eventType}/{txnId}` (client-server API, "Send-to-Device messaging").

use axum::{Json, extract::State};
use myelin_e2ee::{
    E2ee,
    to_device::{Messages, SendError, send_to_device},
};
use myelin_http::{ApiError, RateLimits, Raw};
use serde_json::{Value, json};

use crate::Answer;

/// The type of requests for keys, which clients send in crowds when they cannot read something.
const ROOM_KEY_REQUEST: &str = "m.room_key_request";

#[tracing::instrument(name = "client.to_device.send_event_to_device", skip_all, fields(user.id = %raw.requester.user_id))]
pub(crate) async fn handler(
    State(e2ee): State<E2ee>,
    State(rate_limits): State<RateLimits>,
    raw: Raw,
) -> Answer {
    let (event_type, txn_id) = (raw.path_arg(0)?, raw.path_arg(1)?);
    if event_type == ROOM_KEY_REQUEST {
        let device_id = raw.requester.device_id().map_or("", |device_id| device_id.as_str());
        let device = format!("{} {device_id}", raw.requester.user_id);
        rate_limits.key_requests.check_caller_by(&raw.requester, &device)?;
    }
    let messages = match raw.json_object(false)?.remove("messages") {
        Some(Value::Object(messages)) => messages,
        Some(_) => return Err(ApiError::bad_json("messages must be an object")),
        None => return Err(ApiError::missing_param("Missing param messages")),
    };
    let messages = Messages::read(messages).map_err(to_api_error)?;
    send_to_device(&e2ee, &raw.requester, event_type, txn_id, messages)
        .await
        .map_err(to_api_error)?;
    Ok(Json(json!({})))
}

fn to_api_error(error: SendError) -> ApiError {
    let message = error.to_string();
    match error {
        SendError::Invalid(_) => ApiError::bad_json(message),
        SendError::MessageTooLarge | SendError::TooManyDevices => ApiError::too_large(message),
        SendError::TooLong(_) => ApiError::invalid_param(message),
        SendError::Storage(error) => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use myelin_testing::{TestServer, TestUser};
    use serde_json::{Value, json};
    use sqlx::PgPool;

    use crate::test_server;

    async fn send(
        server: &TestServer,
        sender: &TestUser,
        txn_id: &str,
        messages: Value,
    ) -> myelin_testing::TestResponse {
        let path = format!("/_matrix/client/v3/sendToDevice/org.example.ping/{txn_id}");
        server.put(&path, Some(sender), json!({"messages": messages})).await
    }

    /// The messages that a device gets after `since`, and the token for its next time.
    async fn sync(server: &TestServer, user: &TestUser, since: &str) -> (Vec<Value>, String) {
        let query = if since.is_empty() { String::new() } else { format!("?since={since}") };
        let answer = server.get(&format!("/_matrix/client/v3/sync{query}"), Some(user)).await.ok();
        let messages = answer["to_device"]["events"].as_array().cloned().unwrap_or_default();
        (messages, answer["next_batch"].as_str().unwrap().to_owned())
    }

    fn numbers(messages: &[Value]) -> Vec<u64> {
        messages.iter().map(|message| message["content"]["n"].as_u64().unwrap()).collect()
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn a_message_is_told_until_its_device_comes_back(pool: PgPool) {
        let server = test_server::open(pool.clone()).await;
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let (_, start) = sync(&server, &bob, "").await;
        let to_bob = |n: u64| json!({"@bob:example.org": {"DEV": {"n": n}}});
        send(&server, &alice, "t1", to_bob(1)).await.ok();

        let (messages, next) = sync(&server, &bob, &start).await;
        let expected = json!({"type": "org.example.ping", "sender": "@alice:example.org", "content": {"n": 1}});
        assert_eq!(messages, [expected]);
        // The answer was lost.
        assert_eq!(numbers(&sync(&server, &bob, &start).await.0), [1]);
        assert_eq!(numbers(&sync(&server, &bob, "").await.0), [1]);
        send(&server, &alice, "t2", to_bob(2)).await.ok();
        let (messages, next) = sync(&server, &bob, &next).await;
        assert_eq!(numbers(&messages), [2]);
        assert!(sync(&server, &bob, &next).await.0.is_empty());
        assert!(sync(&server, &bob, "").await.0.is_empty());
        let left: i64 =
            sqlx::query_scalar("SELECT count(*) FROM to_device").fetch_one(&pool).await.unwrap();
        assert_eq!(left, 0);
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn each_device_gets_its_own_and_the_star_is_for_the_others(pool: PgPool) {
        let server = test_server::open(pool).await;
        let alice = server.user("alice").await;
        let phone = test_server::register(&server, "bob", "secret").await;
        let desk = test_server::log_in(&server, "bob", "secret").await;
        let devices = json!({
            phone.device_id.as_str(): {"n": 1}, "*": {"n": 2}, "NOT_THERE": {"n": 3},
        });
        let nobody = json!({"*": {"n": 4}});
        let messages = json!({
            "@bob:example.org": devices, "@nobody:example.org": nobody, "@far:elsewhere.org": nobody,
        });
        send(&server, &alice, "t", messages).await.ok();
        assert_eq!(numbers(&sync(&server, &phone, "").await.0), [1]);
        assert_eq!(numbers(&sync(&server, &desk, "").await.0), [2]);
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn a_repeated_request_sends_nothing_again(pool: PgPool) {
        let server = test_server::open(pool).await;
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let message = |n: u64| json!({"@bob:example.org": {"*": {"n": n}}});
        let at_once = (0..8).map(|_| send(&server, &alice, "t", message(1)));
        for answer in futures_util::future::join_all(at_once).await {
            answer.ok();
        }
        send(&server, &alice, "t", message(2)).await.ok();
        send(&server, &bob, "t", message(3)).await.ok();
        let other = "/_matrix/client/v3/sendToDevice/org.example.other/t";
        server.put(other, Some(&alice), json!({"messages": message(4)})).await.ok();
        assert_eq!(numbers(&sync(&server, &bob, "").await.0), [1, 3, 4]);
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn many_messages_come_in_order_a_hundred_at_a_time(pool: PgPool) {
        let server = test_server::open(pool).await;
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        for n in 0..250 {
            let message = json!({"@bob:example.org": {"DEV": {"n": n}}});
            send(&server, &alice, &format!("t{n}"), message).await.ok();
        }
        let (first, next) = sync(&server, &bob, "").await;
        assert_eq!(numbers(&first), (0..100).collect::<Vec<_>>());
        // Something else happens meanwhile, and the token goes on.
        send(&server, &alice, "last", json!({"@bob:example.org": {"DEV": {"n": 250}}})).await.ok();
        let (second, next) = sync(&server, &bob, &next).await;
        assert_eq!(numbers(&second), (100..200).collect::<Vec<_>>());
        let (third, next) = sync(&server, &bob, &next).await;
        assert_eq!(numbers(&third), (200..251).collect::<Vec<_>>());
        assert!(sync(&server, &bob, &next).await.0.is_empty());
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn what_waits_goes_with_its_device(pool: PgPool) {
        let server = test_server::open(pool).await;
        let alice = server.user("alice").await;
        let bob = test_server::register(&server, "bob", "secret").await;
        let message = json!({"@bob:example.org": {"*": {"n": 1}}});
        send(&server, &alice, "t", message).await.ok();
        server.post("/_matrix/client/v3/logout", Some(&bob), json!({})).await.ok();
        let login = json!({
            "type": "m.login.password", "user": "bob", "password": "secret", "device_id": bob.device_id,
        });
        let answer = server.post("/_matrix/client/v3/login", None, login).await.ok();
        let token = answer["access_token"].as_str().unwrap().to_owned();
        let again = TestUser { token, ..bob };
        assert!(sync(&server, &again, "").await.0.is_empty());
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn a_message_wakes_who_waits_on_another_node(pool: PgPool) {
        let here = test_server::open(pool.clone()).await;
        let there = test_server::open(pool).await;
        let (alice, bob) = (here.user("alice").await, here.user("bob").await);
        let (_, start) = sync(&there, &bob, "").await;
        let path = format!("/_matrix/client/v3/sync?since={start}&timeout=30000");
        let wait = there.get(&path, Some(&bob));
        let message = json!({"@bob:example.org": {"DEV": {"n": 1}}});
        let (answer, sent) = tokio::join!(wait, send(&here, &alice, "t", message));
        sent.ok();
        assert_eq!(answer.ok()["to_device"]["events"][0]["content"]["n"], 1);
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn what_is_malformed_is_refused_whole(pool: PgPool) {
        let server = test_server::open(pool).await;
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let refused = async |messages: Value| {
            let answer = send(&server, &alice, "t", messages).await;
            let (status, code) = answer.error();
            (status, code.to_owned())
        };
        let good = json!({"DEV": {"n": 1}});
        let bad_json = (400, "M_BAD_JSON".to_owned());
        assert_eq!(refused(json!([])).await, bad_json);
        assert_eq!(refused(json!({"@bob:example.org": good, "bob": good})).await, bad_json);
        assert_eq!(refused(json!({"@bob:example.org": [good]})).await, bad_json);
        assert_eq!(refused(json!({"@bob:example.org": {"DEV": "text"}})).await, bad_json);
        let large = json!({"@bob:example.org": {"DEV": {"n": "x".repeat(65_536)}}});
        assert_eq!(refused(large).await, (413, "M_TOO_LARGE".to_owned()));
        let many: serde_json::Map<String, Value> =
            (0..10_001).map(|n| (format!("D{n}"), json!({}))).collect();
        let many = json!({"@bob:example.org": many});
        assert_eq!(refused(many).await, (413, "M_TOO_LARGE".to_owned()));
        let path = "/_matrix/client/v3/sendToDevice/t/t";
        let nothing = server.put(path, Some(&alice), json!({})).await;
        assert_eq!(nothing.error(), (400, "M_MISSING_PARAM"));
        assert!(sync(&server, &bob, "").await.0.is_empty());
    }
}
