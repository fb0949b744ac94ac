//! `GET` and `POST /_synapse/admin/v1/register` (Synapse's "Register a user with shared-secret registration").

use axum::{Json, extract::State};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::StatusCode;
use myelin_accounts::{
    Accounts, devices, nonces,
    password::{self, PASSWORD_LENGTH_CHARS_MAX},
    registration::{self, NewAccount, UsernameError, UsernameRules},
    session::{self, NewSession},
};
use myelin_http::{ApiError, Raw};
use myelin_model::Secret;
use myelin_rooms::{Rooms, unfinished};
use ruma::{
    DeviceId,
    api::{auth_scheme::NoAuthentication, error::ErrorKind},
};
use serde_json::{Map, Value, json};
use sha1::Sha1;
use subtle::ConstantTimeEq as _;

type Answer = Result<Json<Value>, ApiError>;

/// The kinds of user that are no people.
const USER_TYPES: [&str; 2] = ["support", "bot"];

#[tracing::instrument(name = "admin.register.get_nonce", skip_all)]
pub(crate) async fn get_nonce(State(accounts): State<Accounts>) -> Json<Value> {
    // Without a secret registration fails later, as it does in Synapse.
    Json(json!({ "nonce": nonces::give_out(&accounts) }))
}

#[tracing::instrument(name = "admin.register.register", skip_all)]
pub(crate) async fn register(
    State(accounts): State<Accounts>,
    State(rooms): State<Rooms>,
    raw: Raw<NoAuthentication>,
) -> Answer {
    let body = raw.json_object(false)?;
    let request = check(&accounts, &body).await?;
    let device_id = read_device_id(&body)?;
    let rules = UsernameRules::default();
    let user_id = registration::check_username(&accounts, &request.username.to_lowercase(), &rules)
        .await
        .map_err(to_api_error)?;
    let hash = password::hash(&accounts, request.password).await.map_err(ApiError::internal)?;
    let account = NewAccount {
        user_id: Some(user_id),
        password_hash: Some(Secret::new(hash)),
        displayname: body.get("displayname").and_then(Value::as_str),
        is_admin: request.is_admin,
        user_type: request.user_type,
        joins_rooms: rooms.settings().auto_join.is_for(false),
        ..NewAccount::default()
    };
    let registered = registration::register(&accounts, account).await.map_err(to_api_error)?;
    if let Some(work) = &registered.auto_join {
        unfinished::finish(&rooms, work).await;
    }
    let user_id = registered.user_id;
    let flag = |key: &str| body.get(key).and_then(Value::as_bool).unwrap_or_default();
    let mut answer = json!({ "user_id": user_id, "home_server": user_id.server_name() });
    if flag("inhibit_login") {
        return Ok(Json(answer));
    }
    let display_name = body.get("initial_device_display_name").and_then(Value::as_str);
    let new = NewSession {
        device_id,
        display_name: display_name.map(devices::shorten_name),
        with_refresh_token: flag("refresh_token"),
    };
    let started = session::start(&accounts, &user_id, &new).await?;
    if let Some(answer) = answer.as_object_mut() {
        answer.insert("access_token".to_owned(), started.access_token.into());
        answer.insert("device_id".to_owned(), started.device_id.as_str().into());
        answer
            .extend(started.refresh_token.map(|token| ("refresh_token".to_owned(), token.into())));
        answer.extend(started.expires_in_ms.map(|ms| ("expires_in_ms".to_owned(), ms.into())));
    }
    Ok(Json(answer))
}

/// The device ID that the caller chose, if any.
fn read_device_id(body: &Map<String, Value>) -> Result<Option<&DeviceId>, ApiError> {
    let chosen = body.get("device_id").and_then(Value::as_str).filter(|id| !id.is_empty());
    if chosen.is_some_and(|id| !devices::is_valid_id(id)) {
        return Err(ApiError::invalid_param("device_id is too long"));
    }
    Ok(chosen.map(<&DeviceId>::from))
}

/// The body of a request: the user to be registered, and the proof that the caller knows the secret.
struct Request<'a> {
    username: &'a str,
    password: &'a str,
    is_admin: bool,
    user_type: Option<&'a str>,
}

/// Check a request in the order in which Synapse does.
async fn check<'a>(
    accounts: &Accounts,
    body: &'a Map<String, Value>,
) -> Result<Request<'a>, ApiError> {
    let secret = accounts
        .settings()
        .registration_shared_secret
        .as_ref()
        .map(Secret::expose)
        .filter(|secret| !secret.is_empty())
        .ok_or_else(|| ApiError::unknown("Shared secret registration is not enabled"))?;
    let nonce = match body.get("nonce") {
        None => return Err(ApiError::bad_json("nonce must be specified")),
        Some(nonce) => nonce.as_str().unwrap_or_default(),
    };
    // Used up even if the rest is wrong.
    if !nonces::use_up(accounts, nonce).await? {
        return Err(ApiError::unknown("unrecognised nonce"));
    }
    let username = read_text(body, "username", "Invalid username")?;
    let password = read_text(body, "password", "Invalid password")?;
    if password.is_empty() {
        return Err(ApiError::unknown("Invalid password"));
    }
    let user_type = body.get("user_type").and_then(Value::as_str).filter(|kind| !kind.is_empty());
    let has_type = !matches!(body.get("user_type"), None | Some(Value::Null));
    if has_type && !user_type.is_some_and(|kind| USER_TYPES.contains(&kind)) {
        return Err(ApiError::unknown("Invalid user type"));
    }
    let mac = body
        .get("mac")
        .and_then(Value::as_str)
        .ok_or_else(|| ApiError::bad_json("mac must be specified"))?;
    let is_admin = body.get("admin").and_then(Value::as_bool).unwrap_or_default();
    let request = Request { username, password, is_admin, user_type };
    let wanted = sign(secret, nonce, &request).map_err(ApiError::internal)?;
    if !bool::from(wanted.as_bytes().ct_eq(mac.as_bytes())) {
        return Err(ApiError::client(StatusCode::FORBIDDEN, ErrorKind::Unknown, "HMAC incorrect"));
    }
    Ok(request)
}

fn read_text<'a>(
    body: &'a Map<String, Value>,
    key: &str,
    invalid: &str,
) -> Result<&'a str, ApiError> {
    let Some(value) = body.get(key) else {
        return Err(ApiError::bad_json(format!("{key} must be specified")));
    };
    value
        .as_str()
        .filter(|text| text.chars().count() <= PASSWORD_LENGTH_CHARS_MAX && !text.contains('\0'))
        .ok_or_else(|| ApiError::unknown(invalid))
}

/// The proof that the request is from somebody who knows the secret, in hexadecimal digits.
fn sign(
    secret: &str,
    nonce: &str,
    request: &Request<'_>,
) -> Result<String, hmac::digest::InvalidLength> {
    let mut mac = Hmac::<Sha1>::new_from_slice(secret.as_bytes())?;
    let role = if request.is_admin { "admin" } else { "notadmin" };
    let parts = [nonce, request.username, request.password, role];
    mac.update(parts.join("\0").as_bytes());
    if let Some(user_type) = request.user_type {
        mac.update(b"\0");
        mac.update(user_type.as_bytes());
    }
    Ok(mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect())
}

fn to_api_error(error: UsernameError) -> ApiError {
    let message = error.to_string();
    let client = |kind| ApiError::client(StatusCode::BAD_REQUEST, kind, message.clone());
    match error {
        UsernameError::Characters
        | UsernameError::Empty
        | UsernameError::Underscore
        | UsernameError::TooLong
        | UsernameError::Numeric => client(ErrorKind::InvalidUsername),
        UsernameError::Exclusive => client(ErrorKind::Exclusive),
        UsernameError::InUse => client(ErrorKind::UserInUse),
        UsernameError::OtherRegistered
        | UsernameError::SessionUsed
        | UsernameError::NotThatGuest => client(ErrorKind::Unknown),
        UsernameError::Storage(error) => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use myelin_engine::Engine;
    use myelin_events::SigningKey;
    use myelin_rooms::{RoomSettings, membership::AutoJoin};
    use myelin_testing::{TestResponse, TestServer};
    use sqlx::PgPool;

    use super::*;
    use crate::AdminApi;

    const PATH: &str = "/_synapse/admin/v1/register";

    async fn open(pool: PgPool) -> TestServer {
        TestServer::open(pool, |parts| {
            let alias = "#welcome:example.org".try_into().unwrap();
            let settings = RoomSettings {
                auto_join: AutoJoin {
                    aliases: vec![alias],
                    create: true,
                    preset: "public_chat".to_owned(),
                    ..AutoJoin::default()
                },
                ..RoomSettings::default()
            };
            let key = Arc::new(SigningKey::from_seed(&[7; 32], "test"));
            let name = parts.server_name.to_owned();
            let engine = Engine::new(parts.db.clone(), parts.clock(), name, key);
            let rooms = Rooms::new(engine, settings);
            crate::routes().with_state(AdminApi::new(parts.accounts.clone(), rooms)).finish()
        })
        .await
    }

    async fn register(
        server: &TestServer,
        secret: &str,
        username: &str,
        is_admin: bool,
    ) -> TestResponse {
        let nonce = server.get(PATH, None).await.ok()["nonce"].as_str().unwrap().to_owned();
        let request = Request { username, password: "secret", is_admin, user_type: None };
        let mac = sign(secret, &nonce, &request).unwrap();
        let body = json!({
            "nonce": nonce, "username": username, "password": "secret", "admin": is_admin, "mac": mac
        });
        let first = server.post(PATH, None, body.clone()).await;
        let second = server.post(PATH, None, body).await;
        assert_eq!(second.body["error"], "unrecognised nonce");
        first
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn who_knows_the_secret_registers(pool: PgPool) {
        let server = open(pool).await;

        let body = register(&server, "shared secret", "ADMIN", true).await.ok();

        assert_eq!(body["user_id"], "@admin:example.org");
        let user_id = body["user_id"].as_str().unwrap().try_into().unwrap();
        assert!(server.parts.db.users().find(user_id).await.unwrap().unwrap().is_admin);
        let taken = register(&server, "shared secret", "admin", false).await;
        assert_eq!(taken.error(), (400, "M_USER_IN_USE"));
        let invalid = register(&server, "shared secret", "us,er", false).await;
        assert_eq!(invalid.error(), (400, "M_INVALID_USERNAME"));
        let wrong = register(&server, "guess", "eve", true).await;
        assert_eq!(wrong.error(), (403, "M_UNKNOWN"));
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn a_new_user_joins_the_rooms_that_new_users_join(pool: PgPool) {
        let server = open(pool.clone()).await;
        register(&server, "shared secret", "alice", false).await.ok();
        register(&server, "shared secret", "bob", false).await.ok();
        let joined: Vec<String> = sqlx::query_scalar(
            "SELECT user_id FROM memberships WHERE membership = 2 ORDER BY user_id",
        )
        .fetch_all(&pool)
        .await
        .unwrap();
        assert_eq!(joined, ["@alice:example.org", "@bob:example.org"]);
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn a_nonce_of_one_node_is_good_once_on_all(pool: PgPool) {
        let (here, there) = (open(pool.clone()).await, open(pool).await);
        let nonce = here.get(PATH, None).await.ok()["nonce"].as_str().unwrap().to_owned();
        let body = |username: &str| {
            let request =
                Request { username, password: "secret", is_admin: false, user_type: None };
            let mac = sign("shared secret", &nonce, &request).unwrap();
            json!({ "nonce": nonce, "username": username, "password": "secret", "mac": mac })
        };

        there.post(PATH, None, body("alice")).await.ok();

        assert_eq!(here.post(PATH, None, body("bob")).await.body["error"], "unrecognised nonce");
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn devices_are_named_as_everywhere(pool: PgPool) {
        let server = open(pool).await;
        let register = async |username: &str, device_id: &str, name: &str| {
            let nonce = server.get(PATH, None).await.ok()["nonce"].as_str().unwrap().to_owned();
            let request =
                Request { username, password: "secret", is_admin: false, user_type: None };
            let mac = sign("shared secret", &nonce, &request).unwrap();
            let body = json!({
                "nonce": nonce, "username": username, "password": "secret", "admin": false, "mac": mac,
                "device_id": device_id, "initial_device_display_name": name
            });
            server.post(PATH, None, body).await
        };
        let too_long = register("a", &"x".repeat(513), "A").await;
        assert_eq!(too_long.error(), (400, "M_INVALID_PARAM"));
        let made = register("a", "", &"x".repeat(1_000)).await.ok();

        let device_id = made["device_id"].as_str().unwrap();
        assert_eq!(device_id.len(), 10, "{device_id}");
        let user_id = made["user_id"].as_str().unwrap().try_into().unwrap();
        let devices = server.parts.db.devices();
        let device = devices.find(user_id, device_id.into()).await.unwrap().unwrap();
        assert_eq!(device.display_name.unwrap().len(), 100);
    }
}
