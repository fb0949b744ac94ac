//! `GET /_matrix/client/v3/events` (client-server API, "Listening on events" and "Room previews"): what happened since, in the
//! user's rooms or in one that everybody may look into.

use std::time::Duration;

use axum::extract::State;
use myelin_accounts::Accounts;
use myelin_http::{ApiError, RateLimits, Raw};
use myelin_storage::PresenceState;
use myelin_sync::{
    Sync,
    old_sync::{EventsError, EventsRequest, events},
};
use serde::Deserialize;

use super::Paging;
use crate::{reply::JsonText, room_input::parse_room_id};

/// The time to wait where the client does not say, in milliseconds.
const TIMEOUT_MILLIS_DEFAULT: u64 = 30_000;

#[derive(Debug, Deserialize)]
struct Query {
    #[serde(flatten)]
    paging: Paging,
    timeout: Option<String>,
    room_id: Option<String>,
    raw: Option<String>,
}

#[tracing::instrument(name = "client.old_sync.listen_to_events", skip_all, fields(user.id = %req.requester.user_id))]
pub(super) async fn handler(
    State(accounts): State<Accounts>,
    State(sync): State<Sync>,
    State(rate_limits): State<RateLimits>,
    req: Raw,
) -> Result<JsonText, ApiError> {
    let query: Query = req.query()?;
    let requester = &req.requester;
    let page = query.paging.read()?;
    let timeout = match &query.timeout {
        None => TIMEOUT_MILLIS_DEFAULT,
        Some(timeout) => {
            timeout.parse().map_err(|_| ApiError::unknown("timeout must be in milliseconds."))?
        }
    };
    // Who changes presence too often is heard all the same, only not by others.
    let is_shown =
        !requester.is_guest && rate_limits.presence_per_user.check_caller(requester).is_ok();
    let request = EventsRequest {
        from: page.from,
        room_id: query.room_id.as_deref().map(parse_room_id).transpose()?,
        limit: page.limit,
        timeout: Duration::from_millis(timeout),
        set_presence: if is_shown { PresenceState::Online } else { PresenceState::Offline },
        raw: query.raw.is_some(),
    };
    let answer = req.hold(&accounts, events(&sync, requester, &request)).await?;
    Ok(JsonText(answer.map_err(to_api_error)?))
}

fn to_api_error(error: EventsError) -> ApiError {
    match error {
        EventsError::NotInRoom => ApiError::forbidden(error.to_string()),
        EventsError::GuestWithoutRoom => ApiError::unknown(error.to_string()),
        EventsError::Storage(error) => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use myelin_testing::{TestResponse, TestServer, TestUser};
    use serde_json::{Value, json};
    use sqlx::PgPool;

    use crate::{
        test_rooms::{TestRoom, bodies, encode},
        test_server,
    };

    async fn listen(server: &TestServer, user: &TestUser, query: &str) -> TestResponse {
        server.get(&format!("/_matrix/client/v3/events?{query}"), Some(user)).await
    }

    fn end(answer: &Value) -> String {
        answer["end"].as_str().unwrap().to_owned()
    }

    fn of_type<'v>(answer: &'v Value, event_type: &str) -> Vec<&'v Value> {
        let events = answer["chunk"].as_array().unwrap().iter();
        events.filter(|event| event["type"] == event_type).collect()
    }

    async fn now(server: &TestServer, user: &TestUser) -> String {
        end(&listen(server, user, "timeout=0").await.ok())
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn what_happens_comes_in_order_and_wakes(pool: PgPool) {
        let server = test_server::open(pool).await;
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = TestRoom::create(&server, &alice, json!({"preset": "public_chat"})).await;
        let from = now(&server, &bob).await;
        room.join(&bob).await;
        for text in ["one", "two", "three"] {
            room.text(&alice, text).await;
        }
        let path = room.path(&format!("typing/{}", alice.user_id));
        server.put(&path, Some(&alice), json!({"typing": true, "timeout": 30000})).await.ok();

        // The join and two texts, then the rest.
        let answer = listen(&server, &bob, &format!("from={from}&timeout=0&limit=3")).await.ok();
        assert_eq!(answer["start"], from.as_str());
        assert_eq!(bodies(&answer["chunk"]), ["one", "two"], "{answer}");
        let joined = of_type(&answer, "m.room.member");
        assert_eq!(joined[0]["state_key"], bob.user_id.as_str());
        assert_eq!(joined[0]["room_id"], room.id.as_str());
        assert_eq!(of_type(&answer, "m.typing")[0]["room_id"], room.id.as_str());
        let from = end(&answer);
        let answer = listen(&server, &bob, &format!("from={from}&timeout=0")).await.ok();
        assert_eq!(bodies(&answer["chunk"]), ["three"]);

        let from = end(&answer);
        let query = format!("from={from}&timeout=20000");
        let say = async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            room.text(&alice, "wake up").await;
            Instant::now()
        };
        let (answer, said_at) = tokio::join!(listen(&server, &bob, &query), say);
        assert_eq!(bodies(&answer.ok()["chunk"]), ["wake up"]);
        assert!(said_at.elapsed() < Duration::from_millis(500));
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn invites_receipts_and_account_data_are_told(pool: PgPool) {
        let server = test_server::open(pool).await;
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = TestRoom::create(&server, &alice, json!({"preset": "private_chat"})).await;
        room.text(&alice, "secret").await;
        let from = now(&server, &bob).await;
        room.invite(&alice, &bob).await;
        let answer = listen(&server, &bob, &format!("from={from}&timeout=0")).await.ok();
        let told = of_type(&answer, "m.room.member");
        assert_eq!(told[0]["content"]["membership"], "invite", "{answer}");
        assert_eq!(bodies(&answer["chunk"]), Vec::<&str>::new());

        room.join(&bob).await;
        let from = now(&server, &alice).await;
        let text = room.text(&alice, "hello").await;
        server
            .post(&room.path(&format!("receipt/m.read/{text}")), Some(&bob), json!({}))
            .await
            .ok();
        let data =
            format!("/_matrix/client/v3/user/{}/rooms/{}/account_data/x", alice.user_id, room.id);
        server.put(&data, Some(&alice), json!({"a": 1})).await.ok();
        let answer = listen(&server, &alice, &format!("from={from}&timeout=0")).await.ok();
        let receipt = &of_type(&answer, "m.receipt")[0];
        assert_eq!(receipt["room_id"], room.id.as_str());
        assert!(receipt["content"][&text]["m.read"][bob.user_id.as_str()].is_object());
        assert_eq!(of_type(&answer, "x")[0]["room_id"], room.id.as_str());
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn everybody_may_look_into_open_rooms(pool: PgPool) {
        let server = test_server::open(pool).await;
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let open = TestRoom::visible(&server, &alice, "world_readable").await;
        let closed = TestRoom::visible(&server, &alice, "shared").await;
        let from = now(&server, &bob).await;
        let query = |room: &TestRoom<'_>, timeout: u64| {
            format!("from={from}&timeout={timeout}&room_id={}", encode(&room.id))
        };
        let refused = listen(&server, &bob, &query(&closed, 0)).await;
        assert_eq!(refused.error(), (403, "M_FORBIDDEN"));
        closed.text(&alice, "unheard").await;
        let query = query(&open, 20_000);
        let say = async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            open.text(&alice, "seen").await
        };
        let (answer, _) = tokio::join!(listen(&server, &bob, &query), say);
        let answer = answer.ok();
        assert_eq!(bodies(&answer["chunk"]), ["seen"], "{answer}");
        // The room closes: nothing more is seen.
        open.set_state(
            &alice,
            "m.room.history_visibility",
            json!({"history_visibility": "joined"}),
        )
        .await;
        assert_eq!(listen(&server, &bob, &query).await.error(), (403, "M_FORBIDDEN"));
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn wrong_parameters_are_refused(pool: PgPool) {
        let server = test_server::open(pool).await;
        let alice = server.user("alice").await;
        for query in ["from=nope", "timeout=x", "limit=x&timeout=0", "room_id=x&timeout=0"] {
            assert_eq!(listen(&server, &alice, query).await.status, 400, "{query}");
        }
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn who_joins_a_room_that_the_user_has_left_stays_unknown(pool: PgPool) {
        let server = test_server::open(pool).await;
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let carol = server.user("carol").await;
        let path = format!("/_matrix/client/v3/presence/{}/status", carol.user_id);
        let message = json!({"presence": "online", "status_msg": "secret"});
        server.put(&path, Some(&carol), message).await.ok();
        let room = TestRoom::create(&server, &alice, json!({"preset": "public_chat"})).await;
        room.join(&bob).await;
        let from = now(&server, &bob).await;
        room.join(&carol).await;
        room.leave(&bob).await;
        let answer = listen(&server, &bob, &format!("from={from}&timeout=0")).await.ok();
        assert_eq!(of_type(&answer, "m.room.member").len(), 2, "{answer}");
        assert_eq!(of_type(&answer, "m.presence"), Vec::<&Value>::new());

        // Who is in the room with carol hears of her, and the content names her.
        let answer = listen(&server, &alice, &format!("from={from}&timeout=0")).await.ok();
        let told = of_type(&answer, "m.presence");
        let told = told.iter().find(|event| event["sender"] == carol.user_id.as_str()).unwrap();
        assert_eq!(told["content"]["user_id"], carol.user_id.as_str());
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn an_answer_leads_past_what_nobody_may_see(pool: PgPool) {
        let server = test_server::open(pool).await;
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = TestRoom::visible(&server, &alice, "shared").await;
        let from = now(&server, &bob).await;
        for n in 0..110 {
            room.text(&alice, &format!("hidden {n}")).await;
        }
        let opened = json!({"history_visibility": "world_readable"});
        room.set_state(&alice, "m.room.history_visibility", opened).await;
        room.text(&alice, "seen").await;

        // One look at a hundred events is all for who does not wait.
        let query = |from: &str, timeout: u64| {
            format!("from={from}&limit=1&timeout={timeout}&room_id={}", encode(&room.id))
        };
        let answer = listen(&server, &bob, &query(&from, 0)).await.ok();
        assert_eq!((&answer["chunk"], &answer["start"]), (&json!([]), &json!(from)));
        assert_ne!(answer["end"], answer["start"]);
        let rest = listen(&server, &bob, &query(&end(&answer), 0)).await.ok();
        assert_eq!(of_type(&rest, "m.room.history_visibility").len(), 1, "{rest}");
        let rest = listen(&server, &bob, &query(&end(&rest), 0)).await.ok();
        assert_eq!(bodies(&rest["chunk"]), ["seen"]);
        // Who waits is led on.
        let answer = listen(&server, &bob, &query(&from, 20_000)).await.ok();
        assert_eq!(of_type(&answer, "m.room.history_visibility").len(), 1, "{answer}");
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn who_looks_in_sees_the_room_close(pool: PgPool) {
        let server = test_server::open(pool).await;
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = TestRoom::visible(&server, &alice, "world_readable").await;
        let from = now(&server, &bob).await;
        let query = format!("from={from}&timeout=20000&room_id={}", encode(&room.id));
        let close = async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let closed = json!({"history_visibility": "joined"});
            room.set_state(&alice, "m.room.history_visibility", closed).await;
        };
        let (answer, ()) = tokio::join!(listen(&server, &bob, &query), close);
        let answer = answer.ok();
        assert_eq!(of_type(&answer, "m.room.history_visibility").len(), 1, "{answer}");
        assert_eq!(listen(&server, &bob, &query).await.error(), (403, "M_FORBIDDEN"));
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn no_limit_and_old_tokens_are_taken_as_synapse_takes_them(pool: PgPool) {
        let server = test_server::open(pool).await;
        let alice = server.user("alice").await;
        let room = TestRoom::create(&server, &alice, json!({"preset": "public_chat"})).await;
        let from = now(&server, &alice).await;
        for n in 0..12 {
            room.text(&alice, &format!("text {n}")).await;
        }
        let path = format!("from={from}&timeout=0&limit=0");
        assert_eq!(bodies(&listen(&server, &alice, &path).await.ok()["chunk"]).len(), 10);
        let path = format!("from={from}&timeout=0&limit=18446744073709551615");
        assert_eq!(bodies(&listen(&server, &alice, &path).await.ok()["chunk"]).len(), 12);
        let answer = listen(&server, &alice, "from=END&timeout=0").await.ok();
        assert_eq!(answer["start"], answer["end"]);
    }
}
