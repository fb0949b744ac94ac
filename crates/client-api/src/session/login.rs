//! `POST /_matrix/client/v3/login` (client-server API, "Login").

use axum::{Json, extract::State};
use http::StatusCode;
use myelin_accounts::{
    Accounts, devices,
    session::{self, IdentifyError, LogInError, LoggedIn, NewSession},
};
use myelin_http::{ApiError, RateLimits, Raw, check_not_disabled};
use myelin_model::Actor;
use ruma::{
    DeviceId,
    api::{auth_scheme::AppserviceTokenOptional, error::ErrorKind},
};
use serde_json::{Map, Value};

use crate::{Answer, ClientApiSettings};

#[tracing::instrument(name = "client.session.login", skip_all)]
pub(crate) async fn handler(
    State(accounts): State<Accounts>,
    State(rate_limits): State<RateLimits>,
    State(settings): State<ClientApiSettings>,
    raw: Raw<AppserviceTokenOptional>,
) -> Answer {
    let submission = raw.json_object(false)?;
    let with_refresh_token = read_flag(&submission, "refresh_token")?;
    let device_id = read_device_id(&submission)?;
    let kind = match submission.get("type") {
        None => return Err(ApiError::unknown("Missing JSON keys.")),
        Some(kind) => kind.as_str().unwrap_or_default(),
    };
    let logged_in = match kind {
        "m.login.application_service" => log_in_appservice(&accounts, &raw, &submission).await?,
        "m.login.password" if accounts.settings().password_enabled => {
            rate_limits.login_address.check(&raw.address.to_string())?;
            log_in_by_password(&accounts, &rate_limits, &submission).await?
        }
        "m.login.token" => {
            rate_limits.login_address.check(&raw.address.to_string())?;
            let token = submission
                .get("token")
                .and_then(Value::as_str)
                .ok_or_else(|| ApiError::unknown("Missing JSON keys."))?;
            session::log_in_by_token(&accounts, token).await.map_err(to_api_error)?
        }
        _ => return Err(ApiError::unknown(format!("Unknown login type {kind}"))),
    };
    check_not_disabled(&accounts)?;
    let display_name = submission.get("initial_device_display_name").and_then(Value::as_str);
    let new = NewSession {
        device_id: device_id.map(<&DeviceId>::from),
        display_name: display_name.map(devices::shorten_name),
        with_refresh_token,
    };
    let started = session::start_logged_in(&accounts, &logged_in, &new).await?;
    let started = started.ok_or_else(|| to_api_error(LogInError::Wrong))?;
    let mut body = super::started(&logged_in.user_id, started);
    body.extend(settings.well_known().map(|content| ("well_known".to_owned(), content)));
    Ok(Json(Value::Object(body)))
}

/// True or false; false if it is absent.
pub(crate) fn read_flag(body: &Map<String, Value>, key: &str) -> Result<bool, ApiError> {
    match body.get(key) {
        None => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(_) => Err(ApiError::unknown(format!("`{key}` should be true or false."))),
    }
}

/// The device ID that the client chose, if any.
pub(crate) fn read_device_id(body: &Map<String, Value>) -> Result<Option<&str>, ApiError> {
    match body.get("device_id") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(id)) if id.is_empty() => Ok(None),
        Some(Value::String(id)) if devices::is_valid_id(id) => Ok(Some(id)),
        Some(Value::String(_)) => {
            Err(ApiError::invalid_param("device_id cannot be longer than 512 characters."))
        }
        Some(_) => Err(ApiError::invalid_param("device_id must be a string")),
    }
}

/// The part of a device's name that is kept.
async fn log_in_by_password(
    accounts: &Accounts,
    rate_limits: &RateLimits,
    submission: &Map<String, Value>,
) -> Result<LoggedIn, ApiError> {
    let password = submission
        .get("password")
        .and_then(Value::as_str)
        .ok_or_else(|| ApiError::unknown("Bad parameter: password"))?;
    let meant = session::identify(accounts, submission).await.map_err(identify_to_api_error)?;
    let account = meant.as_str().to_lowercase();
    // Counted as a failure until it is known to be none.
    rate_limits.login_failed_attempts.check(&account)?;
    let logged_in = session::log_in_by_password(accounts, &meant, password).await;
    if !matches!(logged_in, Err(LogInError::Wrong)) {
        rate_limits.login_failed_attempts.take_back(&account);
    }
    let logged_in = logged_in.map_err(to_api_error)?;
    rate_limits.login_account.check(&account)?;
    Ok(logged_in)
}

async fn log_in_appservice(
    accounts: &Accounts,
    raw: &Raw<AppserviceTokenOptional>,
    submission: &Map<String, Value>,
) -> Result<LoggedIn, ApiError> {
    let appservice_id = raw.requester.as_ref().and_then(Actor::appservice_id);
    let Some(appservice) = appservice_id.and_then(|id| accounts.appservices().find(id)) else {
        return Err(if raw.parts.headers.contains_key(http::header::AUTHORIZATION) {
            ApiError::unknown_token(
                false,
                "This login method is only valid for application services",
            )
        } else {
            ApiError::missing_token()
        });
    };
    if appservice.manages_devices() {
        return Err(login_unsupported("appservice login cannot be used."));
    }
    let is_user = submission
        .get("identifier")
        .and_then(|identifier| identifier.get("type"))
        .is_some_and(|kind| kind == "m.id.user");
    if !is_user && submission.contains_key("identifier") {
        return Err(ApiError::invalid_param("Unknown login identifier type"));
    }
    let user_id = session::identify(accounts, submission).await.map_err(identify_to_api_error)?;
    if !appservice.is_interested_in_user(&user_id) {
        return Err(ApiError::forbidden("Invalid access_token"));
    }
    if appservice.sender == user_id {
        return Ok(session::log_in_sender(appservice));
    }
    session::log_in_as(accounts, &user_id).await.map_err(to_api_error)
}

/// An application service that makes its users' devices by itself asks for a login. The code is that of the draft by whose
/// key registrations ask for this.
pub(crate) fn login_unsupported(consequence: &str) -> ApiError {
    const CODE: &str = "IO.ELEMENT.MSC4190.M_APPSERVICE_LOGIN_UNSUPPORTED";
    let message = format!("This appservice has MSC4190 enabled, so {consequence}");
    ApiError::with_fields(StatusCode::BAD_REQUEST, CODE, message, [])
}

fn identify_to_api_error(error: IdentifyError) -> ApiError {
    let message = error.to_string();
    match error {
        IdentifyError::Missing | IdentifyError::Invalid(_) | IdentifyError::UnknownType => {
            ApiError::invalid_param(message)
        }
        IdentifyError::UnknownThreepid => ApiError::forbidden(message),
        IdentifyError::Storage(error) => error.into(),
    }
}

fn to_api_error(error: LogInError) -> ApiError {
    let message = error.to_string();
    match error {
        LogInError::Wrong | LogInError::WrongToken => ApiError::forbidden(message),
        LogInError::Deactivated => {
            ApiError::client(StatusCode::FORBIDDEN, ErrorKind::UserDeactivated, message)
        }
        LogInError::Locked => ApiError::user_locked(),
        LogInError::Password(error) => ApiError::internal(error),
        LogInError::Storage(error) => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use myelin_accounts::{
        AccountsSettings, deactivate, password,
        session::{self, LoggedIn, NewSession},
    };
    use myelin_http::RateLimit;
    use myelin_testing::TestUser;
    use serde_json::json;
    use sqlx::PgPool;

    use crate::test_server;

    const PATH: &str = "/_matrix/client/v3/login";

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn by_password(pool: PgPool) {
        let server = test_server::open(pool).await;
        test_server::register(&server, "alice", "secret").await;
        let log_in = async |user: &str, password: &str| {
            let identifier = json!({ "type": "m.id.user", "user": user });
            let body = json!({ "type": "m.login.password", "identifier": identifier, "password": password, "device_id": "D" });
            server.post(PATH, None, body).await
        };

        let body = log_in("@ALICE:example.org", "secret").await.ok();
        assert_eq!(
            (&body["user_id"], &body["device_id"]),
            (&json!("@alice:example.org"), &json!("D"))
        );
        assert_eq!(log_in("alice", "wrong").await.error(), (403, "M_FORBIDDEN"));
        assert_eq!(log_in("nobody", "secret").await.error(), (403, "M_FORBIDDEN"));
        assert_eq!(server.post(PATH, None, json!({})).await.status, 400);
        let unknown = server.post(PATH, None, json!({ "type": "m.login.magic" })).await;
        assert_eq!(unknown.error(), (400, "M_UNKNOWN"));
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn many_guesses_at_once_are_no_more_than_one_after_the_other(pool: PgPool) {
        let server = test_server::open_with(
            pool,
            AccountsSettings { enable_registration: true, ..AccountsSettings::default() },
            |settings| {
                settings.rate_limits.login_failed_attempts =
                    RateLimit { per_second: 0.0001, burst_count: 3.0 };
            },
        )
        .await;
        test_server::register(&server, "alice", "secret").await;
        let log_in = |password: String| {
            let body = json!({ "type": "m.login.password", "user": "alice", "password": password });
            server.post(PATH, None, body)
        };
        for _ in 0..5 {
            log_in("secret".to_owned()).await.ok();
        }

        let guesses = (0..12).map(|number| log_in(format!("guess {number}")));
        let answers = futures_util::future::join_all(guesses).await;

        let looked_at = answers.iter().filter(|answer| answer.error() == (403, "M_FORBIDDEN"));
        assert_eq!(looked_at.count(), 3);
        assert_eq!(log_in("secret".to_owned()).await.error(), (429, "M_LIMIT_EXCEEDED"));
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn nobody_gets_in_by_a_password_that_was_changed_meanwhile(pool: PgPool) {
        let server = test_server::open(pool).await;
        let alice = test_server::register(&server, "alice", "stolen").await;
        let accounts = &server.parts.accounts;
        let log_in =
            async || session::log_in_by_password(accounts, &alice.user_id, "stolen").await.unwrap();
        let start = async |logged_in: &LoggedIn| {
            session::start_logged_in(accounts, logged_in, &NewSession::default()).await.unwrap()
        };
        assert!(start(&log_in().await).await.is_some());
        let checked = log_in().await;

        let hash = password::hash(accounts, "new").await.unwrap();
        deactivate::set_password(accounts, &alice.user_id, &hash, true, None).await.unwrap();

        assert!(start(&checked).await.is_none());
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn tokens_that_log_in_end_with_the_sessions(pool: PgPool) {
        let server = test_server::open(pool).await;
        let accounts = &server.parts.accounts;
        let token = async |user: &TestUser| {
            session::add_login_token(accounts, &user.user_id).await.unwrap().0
        };
        let log_in = async |token: String| {
            let body = json!({ "type": "m.login.token", "token": token });
            server.post(PATH, None, body).await
        };
        let alice = test_server::register(&server, "alice", "secret").await;
        log_in(token(&alice).await).await.ok();

        let stolen = token(&alice).await;
        server.post("/_matrix/client/v3/logout/all", Some(&alice), json!({})).await.ok();
        assert_eq!(log_in(stolen).await.error(), (403, "M_FORBIDDEN"));

        let stolen = token(&alice).await;
        let hash = password::hash(accounts, "new").await.unwrap();
        deactivate::set_password(accounts, &alice.user_id, &hash, true, None).await.unwrap();
        assert_eq!(log_in(stolen).await.error(), (403, "M_FORBIDDEN"));
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn a_hash_of_synapse_is_replaced_unless_the_password_was(pool: PgPool) {
        let server = test_server::open(pool.clone()).await;
        let accounts = &server.parts.accounts;
        let alice = test_server::register(&server, "alice", "first").await;
        let stored = async || -> String {
            let hash = sqlx::query_scalar("SELECT password_hash FROM users");
            hash.fetch_one(&pool).await.unwrap()
        };
        let of_synapse = password::bcrypt_with_pepper("old", "", 4).unwrap();
        deactivate::set_password(accounts, &alice.user_id, &of_synapse, true, None).await.unwrap();
        test_server::log_in(&server, "alice", "old").await;
        assert!(stored().await.starts_with("$argon2id$"));

        // While a login checks the old password, another session changes it.
        let new = password::hash(accounts, "new").await.unwrap();
        deactivate::set_password(accounts, &alice.user_id, &new, true, None).await.unwrap();
        let late = password::verify(accounts, &alice.user_id, "old", &of_synapse).await.unwrap();
        assert!(late.is_some(), "it was right when it was read");
        assert_eq!(stored().await, new);
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn a_second_login_ends_the_first_of_the_device(pool: PgPool) {
        let server = test_server::open(pool).await;
        let mut first = test_server::register(&server, "alice", "secret").await;
        let body = json!({ "type": "m.login.password", "user": "alice", "password": "secret", "device_id": first.device_id });

        let second = server.post(PATH, None, body).await.ok();

        let whoami = "/_matrix/client/v3/account/whoami";
        assert_eq!(server.get(whoami, Some(&first)).await.error(), (401, "M_UNKNOWN_TOKEN"));
        first.token = second["access_token"].as_str().unwrap().to_owned();
        server.get(whoami, Some(&first)).await.ok();
    }
}
