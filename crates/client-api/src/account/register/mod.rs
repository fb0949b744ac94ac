//! `POST /_matrix/client/v3/register` (client-server API, "Account registration").

mod appservice;
mod error;
mod guest;
mod user;

use axum::{Json, extract::State};
use http::StatusCode;
use myelin_accounts::{
    Accounts, devices,
    session::{self, NewSession},
};
use myelin_http::{ApiError, RateLimits, Raw, check_not_disabled};
use myelin_rooms::Rooms;
use ruma::{
    DeviceId, UserId,
    api::{auth_scheme::AppserviceTokenOptional, error::ErrorKind},
};
use serde::Deserialize;
use serde_json::{Map, Value};

pub(super) use self::error::{check_policy, to_api_error};
use self::{appservice::register_for_appservice, guest::register_guest, user::register_user};
use crate::{
    Answer,
    session::{read_device_id, read_flag, started},
};

/// The length of a name that is looked at at all, as Synapse has it.
const USERNAME_LENGTH_CHARS_MAX: usize = 512;

#[derive(Deserialize)]
struct Query {
    kind: Option<String>,
}

#[tracing::instrument(name = "client.account.register", skip_all)]
pub(crate) async fn handler(
    State(accounts): State<Accounts>,
    State(rooms): State<Rooms>,
    State(rate_limits): State<RateLimits>,
    raw: Raw<AppserviceTokenOptional>,
) -> Answer {
    let address = raw.address.to_string();
    rate_limits.registration.would_allow(&address)?;
    check_not_disabled(&accounts)?;
    let body = raw.json_object(true)?;
    match raw.query::<Query>()?.kind.as_deref() {
        None | Some("user") => {}
        Some("guest") => {
            return register_guest(&accounts, &rooms, &rate_limits, &address, &body).await;
        }
        Some(kind) => {
            return Err(ApiError::client(
                StatusCode::BAD_REQUEST,
                ErrorKind::Unrecognized,
                format!("Do not understand membership kind: {kind}"),
            ));
        }
    }
    // Refused before anything is done if it is not what it must be.
    read_flag(&body, "refresh_token")?;
    let username = read_text(&body, "username", USERNAME_LENGTH_CHARS_MAX, "Invalid username")?
        .map(ToOwned::to_owned);
    if body.get("type").and_then(Value::as_str) == Some("m.login.application_service") {
        return register_for_appservice(&accounts, &raw, username.as_deref(), &body).await;
    }
    if raw.requester.is_some() {
        return Err(ApiError::unknown(
            "An access token should not be provided on requests to /register (except if type is m.login.application_service)",
        ));
    }
    if !accounts.settings().enable_registration {
        return Err(ApiError::forbidden("Registration has been disabled"));
    }
    let username = username.map(|name| name.to_lowercase());
    register_user(&accounts, &rooms, &rate_limits, &raw, username, body).await
}

/// The answer to a new user: a session, unless the client wants none.
async fn answer(accounts: &Accounts, user_id: &UserId, params: &Map<String, Value>) -> Answer {
    if params.get("inhibit_login").and_then(Value::as_bool).unwrap_or_default() {
        return Ok(Json(serde_json::json!({
            "user_id": user_id, "home_server": user_id.server_name()
        })));
    }
    let display_name = params.get("initial_device_display_name").and_then(Value::as_str);
    let new = NewSession {
        device_id: read_device_id(params)?.map(<&DeviceId>::from),
        display_name: display_name.map(devices::shorten_name),
        with_refresh_token: read_flag(params, "refresh_token")?,
    };
    let session = session::start(accounts, user_id, &new).await?;
    Ok(Json(Value::Object(started(user_id, session))))
}

fn read_text<'a>(
    body: &'a Map<String, Value>,
    key: &str,
    length_chars_max: usize,
    message: &str,
) -> Result<Option<&'a str>, ApiError> {
    match body.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.chars().count() <= length_chars_max => Ok(Some(text)),
        Some(_) => Err(ApiError::unknown(message)),
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::Request;
    use myelin_accounts::AccountsSettings;
    use myelin_http::RateLimit;
    use myelin_rooms::membership::AutoJoin;
    use myelin_testing::TestUser;
    use serde_json::json;
    use sqlx::PgPool;

    use crate::test_server;

    const PATH: &str = "/_matrix/client/v3/register";

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn with_a_session_or_at_once(pool: PgPool) {
        let server = test_server::open(pool).await;
        let body = json!({ "username": "Alice", "password": "übers3kr1t", "device_id": "xyzzy" });

        let challenge = server.post(PATH, None, body.clone()).await;
        assert_eq!(challenge.status, 401);
        assert_eq!(challenge.body["flows"], json!([{ "stages": ["m.login.dummy"] }]));
        let auth = json!({ "type": "m.login.dummy", "session": challenge.body["session"] });
        // The password is kept from the first request, as its hash.
        let done = server.post(PATH, None, json!({ "auth": auth })).await.ok();

        assert_eq!(
            (&done["user_id"], &done["device_id"]),
            (&json!("@alice:example.org"), &json!("xyzzy"))
        );
        let taken =
            json!({ "username": "alice", "password": "x", "auth": { "type": "m.login.dummy" } });
        assert_eq!(server.post(PATH, None, taken).await.error(), (400, "M_USER_IN_USE"));
        let again = server.post(PATH, None, json!({ "auth": auth })).await.ok();
        assert_eq!(again["user_id"], "@alice:example.org");
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn a_session_makes_one_account_however_often_at_once(pool: PgPool) {
        let settings = AccountsSettings {
            enable_registration: true,
            registration_requires_token: true,
            ..AccountsSettings::default()
        };
        let server = test_server::open_with(pool.clone(), settings, |_| {}).await;
        let mut tx = server.parts.db.begin().await.unwrap();
        tx.registration_tokens().add("once", Some(1), None).await.unwrap();
        tx.commit().await.unwrap();
        let challenge = server.post(PATH, None, json!({ "password": "secret" })).await;
        let auth = json!({ "type": "m.login.registration_token", "token": "once", "session": challenge.body["session"] });
        let bodies =
            (0..8).map(|number| json!({ "username": format!("user{number}"), "auth": auth }));

        let answers = bodies.map(|body| server.post(PATH, None, body));
        let answers = futures_util::future::join_all(answers).await;

        assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
        let (pending, completed): (i64, i64) =
            sqlx::query_as("SELECT pending, completed FROM registration_tokens")
                .fetch_one(&pool)
                .await
                .unwrap();
        assert_eq!((pending, completed), (0, 1));
        let users: i64 =
            sqlx::query_scalar("SELECT count(*) FROM users").fetch_one(&pool).await.unwrap();
        assert_eq!(users, 1);
        let stored: String =
            sqlx::query_scalar("SELECT params FROM uia_sessions").fetch_one(&pool).await.unwrap();
        assert!(!stored.contains("secret"), "{stored}");
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn a_name_that_stands_in_two_cases_is_taken(pool: PgPool) {
        let server = test_server::open(pool.clone()).await;
        for name in ["@Bob:example.org", "@BOB:example.org"] {
            sqlx::query("INSERT INTO users (user_id, created_ts) VALUES ($1, 0)")
                .bind(name)
                .execute(&pool)
                .await
                .unwrap();
        }
        let body =
            json!({ "username": "bob", "password": "x", "auth": { "type": "m.login.dummy" } });
        assert_eq!(server.post(PATH, None, body).await.error(), (400, "M_USER_IN_USE"));
        let body =
            json!({ "username": "carol", "password": "", "auth": { "type": "m.login.dummy" } });
        assert_eq!(server.post(PATH, None, body).await.error(), (400, "M_WEAK_PASSWORD"));
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn names_are_checked(pool: PgPool) {
        let server = test_server::open(pool).await;
        for (username, errcode) in [
            ("user-£-no", "M_INVALID_USERNAME"),
            ("us,er", "M_INVALID_USERNAME"),
            ("_under", "M_INVALID_USERNAME"),
            ("12345", "M_INVALID_USERNAME"),
            ("", "M_INVALID_USERNAME"),
        ] {
            let body = json!({ "username": username, "password": "x", "auth": { "type": "m.login.dummy" } });
            assert_eq!(server.post(PATH, None, body).await.error(), (400, errcode), "{username}");
        }
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn the_hashes_of_strangers_are_limited_and_counted_once(pool: PgPool) {
        let settings =
            AccountsSettings { enable_registration: true, ..AccountsSettings::default() };
        let server = test_server::open_with(pool, settings, |settings| {
            settings.rate_limits.registration = RateLimit { per_second: 0.001, burst_count: 2.0 };
        })
        .await;
        let ask = async |name: &str, auth: serde_json::Value| {
            let body = json!({ "username": name, "password": "secret", "auth": auth });
            server.post(PATH, None, body).await
        };
        let begun = ask("ann", json!({})).await;
        let auth = json!({ "type": "m.login.dummy", "session": begun.body["session"] });
        ask("ann", auth).await.ok();
        assert_eq!(ask("bea", json!({})).await.status, 401);
        assert_eq!(ask("cleo", json!({})).await.status, 429);
        let direct = json!({ "type": "m.login.dummy" });
        assert_eq!(ask("cleo", direct).await.status, 429);
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn a_guest_becomes_a_user(pool: PgPool) {
        let server = test_server::open(pool).await;
        let guest = server.post(&format!("{PATH}?kind=guest"), None, json!({})).await.ok();
        let name = guest["user_id"].as_str().unwrap()[1..].split(':').next().unwrap().to_owned();
        let body = json!({
            "username": name, "password": "secret", "guest_access_token": guest["access_token"],
            "auth": { "type": "m.login.dummy" }
        });

        let user = server.post(PATH, None, body).await.ok();

        assert_eq!(user["user_id"], guest["user_id"]);
        let as_guest = TestUser {
            user_id: guest["user_id"].as_str().unwrap().try_into().unwrap(),
            device_id: guest["device_id"].as_str().unwrap().into(),
            token: guest["access_token"].as_str().unwrap().to_owned(),
        };
        let whoami = server.get("/_matrix/client/v3/account/whoami", Some(&as_guest)).await;
        assert_eq!(whoami.error(), (401, "M_UNKNOWN_TOKEN"));
        let stored = server
            .parts
            .db
            .users()
            .find(user["user_id"].as_str().unwrap().try_into().unwrap())
            .await;
        assert!(!stored.unwrap().unwrap().is_guest);
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn without_a_session(pool: PgPool) {
        let server = test_server::open(pool).await;
        let body =
            json!({ "password": "x", "inhibit_login": true, "auth": { "type": "m.login.dummy" } });
        let done = server.post(PATH, None, body).await.ok();
        assert!(done.get("access_token").is_none());
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn registration_tokens_are_guessed_nowhere(pool: PgPool) {
        let settings = AccountsSettings {
            enable_registration: true,
            registration_requires_token: true,
            ..AccountsSettings::default()
        };
        let server = test_server::open_with(pool, settings, |settings| {
            settings.rate_limits.registration_token_validity =
                RateLimit { per_second: 0.0001, burst_count: 3.0 };
        })
        .await;
        let mut tx = server.parts.db.begin().await.unwrap();
        tx.registration_tokens().add("right", None, None).await.unwrap();
        tx.commit().await.unwrap();
        let challenge = server.post(PATH, None, json!({ "password": "secret" })).await;
        let session = challenge.body["session"].as_str().unwrap();
        let register = async |token: &str| {
            let auth =
                json!({ "type": "m.login.registration_token", "token": token, "session": session });
            server.post(PATH, None, json!({ "password": "secret", "auth": auth })).await
        };
        let page = async |token: &str| {
            let path = format!(
                "/_matrix/client/v3/auth/m.login.registration_token/fallback/web?session={session}"
            );
            let form = Body::from(format!("token={token}"));
            let request = Request::builder().method("POST").uri(path).body(form).unwrap();
            server.send(request).await
        };
        for _ in 0..5 {
            assert_eq!(page("right").await.status, 200);
        }

        assert_eq!(register("wrong").await.error(), (401, "M_UNAUTHORIZED"));
        assert_eq!(page("wrong").await.status, 200);
        assert_eq!(register("wrong").await.error(), (401, "M_UNAUTHORIZED"));
        assert_eq!(register("right").await.error(), (429, "M_LIMIT_EXCEEDED"));
        assert_eq!(page("right").await.error(), (429, "M_LIMIT_EXCEEDED"));
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn strangers_have_little_stored(pool: PgPool) {
        let server = test_server::open(pool).await;
        let body = json!({ "initial_device_display_name": "x".repeat(5_000) });
        assert_eq!(server.post(PATH, None, body).await.error(), (413, "M_TOO_LARGE"));
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn all_who_come_first_are_in_the_rooms_of_all(pool: PgPool) {
        let server = test_server::open_with(
            pool,
            AccountsSettings { enable_registration: true, ..AccountsSettings::default() },
            |settings| {
                settings.rooms.auto_join = AutoJoin {
                    aliases: ["#all:example.org", "#all:elsewhere.org", "#other:elsewhere.org"]
                        .map(|alias| alias.try_into().unwrap())
                        .into(),
                    create: true,
                    federated: true,
                    preset: "public_chat".to_owned(),
                    ..AutoJoin::default()
                };
            },
        )
        .await;
        let names = ["a", "b", "c", "d"];
        let users = names.map(|name| test_server::register(&server, name, "secret"));
        let users = futures_util::future::join_all(users).await;

        let found = server.get("/_matrix/client/v3/directory/room/%23all:example.org", None).await;
        let room = found.ok()["room_id"].clone();
        for user in &users {
            let joined = server.get("/_matrix/client/v3/joined_rooms", Some(user)).await.ok();
            assert_eq!(joined["joined_rooms"], json!([room]), "{}", user.user_id);
        }
        // No room of this server stands in for one of another.
        let other =
            server.get("/_matrix/client/v3/directory/room/%23other:example.org", None).await;
        assert_eq!(other.error(), (404, "M_NOT_FOUND"));
    }
}
