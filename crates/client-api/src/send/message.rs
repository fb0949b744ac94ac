//! `PUT /_matrix/client/v3/rooms/{roomId}/send/{eventType}/{txnId}` (client-server API, "Sending events to a room"), and the
//! same by `POST` without a transaction ID, as older clients have it.

use axum::{Json, extract::State};
use myelin_http::{ApiError, RateLimits, Raw};
use myelin_rooms::{
    Rooms,
    send::{NewMessage, recall, send},
};
use serde_json::{Value, json};

use crate::{
    room_error::send_error,
    room_input::{json_text, room_id_at, timestamp},
};

#[tracing::instrument(name = "client.message.send", skip_all, fields(user.id = %req.requester.user_id))]
pub(crate) async fn put(
    State(rooms): State<Rooms>,
    State(limits): State<RateLimits>,
    req: Raw,
) -> Result<Json<Value>, ApiError> {
    let txn_id = req.path_arg(2)?;
    send_event(&rooms, &limits, &req, Some(txn_id)).await
}

#[tracing::instrument(name = "client.message.send", skip_all, fields(user.id = %req.requester.user_id))]
pub(crate) async fn post(
    State(rooms): State<Rooms>,
    State(limits): State<RateLimits>,
    req: Raw,
) -> Result<Json<Value>, ApiError> {
    send_event(&rooms, &limits, &req, None).await
}

async fn send_event(
    rooms: &Rooms,
    limits: &RateLimits,
    req: &Raw,
    txn_id: Option<&str>,
) -> Result<Json<Value>, ApiError> {
    let room_id = room_id_at(req, 0)?;
    let content = json_text(req, false)?;
    let new = NewMessage {
        room_id: &room_id,
        event_type: req.path_arg(1)?,
        content,
        txn_id,
        origin_server_ts: timestamp(req)?,
    };
    // Who asks again for what was sent is told so, whatever was sent besides.
    let event_id = match recall(rooms, &req.requester, &new) {
        Some(event_id) => event_id,
        None => {
            let sending = async { send(rooms, &req.requester, new).await.map_err(send_error) };
            limits.message.count_done(&req.requester, sending).await?
        }
    };
    Ok(Json(json!({"event_id": event_id})))
}

#[cfg(test)]
mod tests {
    use myelin_accounts::AccountsSettings;
    use myelin_http::RateLimit;
    use myelin_testing::{TestServer, TestUser};
    use serde_json::json;
    use sqlx::PgPool;

    use crate::{test_rooms::TestRoom, test_server};

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn a_transaction_holds_for_a_room_and_a_type(pool: PgPool) {
        let server = test_server::open(pool).await;
        let alice = server.user("alice").await;
        let send = async |room: &str, kind: &str, body: &str| {
            let path = format!("/_matrix/client/v3/rooms/{room}/send/{kind}/t1");
            let content = json!({"msgtype": "m.text", "body": body});
            let answer = server.put(&path, Some(&alice), content).await.ok();
            answer["event_id"].as_str().unwrap().to_owned()
        };
        let create = async || {
            let answer =
                server.post("/_matrix/client/v3/createRoom", Some(&alice), json!({})).await.ok();
            answer["room_id"].as_str().unwrap().to_owned()
        };
        let (here, there) = (create().await, create().await);

        let first = send(&here, "m.room.message", "one").await;
        assert_eq!(send(&here, "m.room.message", "two").await, first);
        assert_ne!(send(&here, "m.reaction", "one").await, first);
        assert_ne!(send(&there, "m.room.message", "one").await, first);
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn a_transaction_goes_with_its_device(pool: PgPool) {
        let server = test_server::open(pool.clone()).await;
        let other = test_server::open(pool).await;
        let alice = test_server::register(&server, "alice", "secret").await;
        let room = TestRoom::create(&server, &alice, json!({})).await;
        let path = room.path("send/m.room.message/t1");
        let log_in = async || {
            let body = json!({"type": "m.login.password", "password": "secret", "device_id": "BOT",
                "identifier": {"type": "m.id.user", "user": "alice"}});
            let answer = server.post("/_matrix/client/v3/login", None, body).await.ok();
            let token = answer["access_token"].as_str().unwrap().to_owned();
            TestUser { user_id: alice.user_id.clone(), device_id: "BOT".into(), token }
        };
        let say = async |node: &TestServer, user: &TestUser, body: &str| {
            let content = json!({"msgtype": "m.text", "body": body});
            node.put(&path, Some(user), content).await.ok()["event_id"].clone()
        };
        let bot = log_in().await;
        let first = say(&server, &bot, "one").await;
        assert_eq!(say(&other, &bot, "one").await, first);
        server.post("/_matrix/client/v3/logout", Some(&bot), json!({})).await.ok();
        let bot = log_in().await;
        let second = say(&server, &bot, "two").await;
        assert_ne!(second, first);
        assert_eq!(say(&other, &bot, "two").await, second);
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn what_is_refused_or_was_sent_before_does_not_count(pool: PgPool) {
        let server = test_server::open_with(pool, AccountsSettings::default(), |settings| {
            settings.rate_limits.message = RateLimit { per_second: 0.0001, burst_count: 3.0 };
        })
        .await;
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = TestRoom::create(&server, &alice, json!({})).await;
        let others = TestRoom::create(&server, &bob, json!({})).await;
        let say = async |room: &TestRoom<'_>, txn_id: &str| {
            let path = room.path(&format!("send/m.room.message/{txn_id}"));
            let content = json!({"msgtype": "m.text", "body": "x"});
            server.put(&path, Some(&alice), content).await
        };
        for _ in 0..5 {
            assert_eq!(say(&others, "t").await.error(), (403, "M_FORBIDDEN"));
            let path = others.path("state/m.room.topic/");
            let refused = server.put(&path, Some(&alice), json!({"topic": "t"})).await;
            assert_eq!(refused.error(), (403, "M_FORBIDDEN"));
            let refused = server.post(&others.path("join"), Some(&alice), json!({})).await;
            assert_eq!(refused.error(), (403, "M_FORBIDDEN"));
        }
        let first = say(&room, "t1").await.ok();
        assert_eq!(say(&room, "t1").await.ok(), first);
        say(&room, "t2").await.ok();
        assert_eq!(say(&room, "t3").await.error(), (429, "M_LIMIT_EXCEEDED"));
        assert_eq!(say(&room, "t1").await.ok(), first, "its answer may have been lost");
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn bad_events_are_refused(pool: PgPool) {
        let server = test_server::open(pool).await;
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = server.post("/_matrix/client/v3/createRoom", Some(&alice), json!({})).await.ok();
        let room = room["room_id"].as_str().unwrap();
        let path = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/t");
        let send = async |content: &str| {
            let request = http::Request::put(&path)
                .header("Authorization", format!("Bearer {}", alice.token))
                .body(content.to_owned().into());
            let answer = server.send(request.unwrap()).await;
            (answer.status.as_u16(), answer.body["errcode"].as_str().unwrap_or_default().to_owned())
        };
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        for (content, expect) in [
            ("", (400, "M_NOT_JSON")),
            ("{", (400, "M_NOT_JSON")),
            ("[]", (400, "M_BAD_JSON")),
            ("1", (400, "M_BAD_JSON")),
            (r#"{"a":1.5}"#, (400, "M_BAD_JSON")),
            (r#"{"a":9007199254740992}"#, (400, "M_BAD_JSON")),
            (&deep, (400, "M_BAD_JSON")),
            (&format!(r#"{{"a":"{}"}}"#, "x".repeat(66_000)), (413, "M_TOO_LARGE")),
        ] {
            let answer = send(content).await;
            assert_eq!((answer.0, &*answer.1), expect, "{:.40}", content);
        }
        assert_eq!(send("{}").await, (400, "M_UNKNOWN".to_owned()));
        let answer = server.put(&path, Some(&bob), json!({})).await;
        assert_eq!(answer.error(), (403, "M_FORBIDDEN"));
        let path = "/_matrix/client/v3/rooms/!no:example.org/send/m.room.message/t";
        assert_eq!(server.put(path, Some(&bob), json!({})).await.error(), (403, "M_FORBIDDEN"));
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn the_same_is_not_said_twice_at_once(pool: PgPool) {
        let server = test_server::open(pool).await;
        let alice = server.user("alice").await;
        let room = TestRoom::create(&server, &alice, json!({})).await;
        let event_id = room.text(&alice, "hello").await;
        let relation = json!({ "rel_type": "m.annotation", "event_id": event_id, "key": "+" });
        let content = json!({ "m.relates_to": relation });
        let sends = (0..6).map(async |number| {
            let path = room.path(&format!("send/m.reaction/at{number}"));
            server.put(&path, Some(&alice), content.clone()).await
        });

        let answers = futures_util::future::join_all(sends).await;

        let mut said = 0;
        for answer in &answers {
            match answer.error() {
                (200, _) => said += 1,
                error => assert_eq!(error, (400, "M_DUPLICATE_ANNOTATION")),
            }
        }
        assert_eq!(said, 1);
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn a_redaction_names_what_it_redacts(pool: PgPool) {
        let server = test_server::open(pool).await;
        let alice = server.user("alice").await;
        let room = TestRoom::create(&server, &alice, json!({})).await;
        for content in [json!({}), json!({"redacts": [null]}), json!({"redacts": "no event"})] {
            let path = room.path("send/m.room.redaction/t1");
            let refused = server.put(&path, Some(&alice), content.clone()).await;
            assert_eq!(refused.error(), (400, "M_BAD_JSON"), "{content}");
        }
        let event_id = room.text(&alice, "oops").await;
        room.send(&alice, "m.room.redaction", json!({"redacts": event_id})).await;
    }
}
