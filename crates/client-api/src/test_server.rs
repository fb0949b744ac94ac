//! This surface as a server for tests.

use std::sync::Arc;

use myelin_accounts::AccountsSettings;
use myelin_e2ee::E2ee;
use myelin_engine::Engine;
use myelin_events::SigningKey;
use myelin_http::{RateLimitSettings, RateLimits};
use myelin_model::Appservices;
use myelin_rooms::{RoomSettings, Rooms};
use myelin_sync::{Sync, SyncSettings};
use myelin_testing::{TestParts, TestServer, TestUser};
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::{ClientApi, ClientApiSettings};

/// Settings of what is below this surface.
pub(crate) struct TestSettings {
    pub(crate) rooms: RoomSettings,
    pub(crate) sync: SyncSettings,
    pub(crate) rate_limits: RateLimitSettings,
}

impl Default for TestSettings {
    fn default() -> Self {
        Self {
            rooms: RoomSettings::default(),
            sync: SyncSettings::default(),
            rate_limits: RateLimitSettings::unlimited(),
        }
    }
}

/// The state of this surface over the parts of a test server.
pub(crate) fn state(parts: &TestParts) -> ClientApi {
    state_with(parts, TestSettings::default())
}

/// The room engine of another node over the same database.
pub(crate) fn engine(parts: &TestParts) -> Engine {
    let key = Arc::new(SigningKey::from_seed(&[7; 32], "test"));
    Engine::new(parts.db.clone(), parts.clock(), parts.server_name.to_owned(), key)
}

/// The same, with settings of its own.
pub(crate) fn state_with(parts: &TestParts, mut settings: TestSettings) -> ClientApi {
    settings.rooms.appservices = parts.accounts.appservices().clone();
    ClientApi {
        accounts: parts.accounts.clone(),
        rooms: Rooms::new(engine(parts), settings.rooms),
        e2ee: E2ee::new(parts.db.clone(), parts.clock(), parts.server_name.to_owned()),
        sync: Sync::start(parts.db.clone(), parts.clock(), settings.sync, CancellationToken::new()),
        rate_limits: RateLimits::new(&settings.rate_limits),
        settings: ClientApiSettings::default(),
    }
}

/// Start the client-server API over a database of the test's own.
pub(crate) async fn open(pool: PgPool) -> TestServer {
    TestServer::open(pool, |parts| crate::routes().with_state(state(parts)).finish()).await
}

/// Start it with settings of its own; `change` changes the rest.
pub(crate) async fn open_with(
    pool: PgPool,
    accounts: AccountsSettings,
    change: impl FnOnce(&mut TestSettings),
) -> TestServer {
    let mut settings = TestSettings::default();
    change(&mut settings);
    TestServer::open_with(pool, accounts, Appservices::default(), |parts| {
        crate::routes().with_state(state_with(parts, settings)).finish()
    })
    .await
}

/// Register a user with a password.
pub(crate) async fn register(server: &TestServer, username: &str, password: &str) -> TestUser {
    let auth = json!({ "type": "m.login.dummy" });
    let body = json!({ "username": username, "password": password, "auth": auth });
    user(server.post("/_matrix/client/v3/register", None, body).await.ok())
}

/// Log a user in on a new device.
pub(crate) async fn log_in(server: &TestServer, username: &str, password: &str) -> TestUser {
    let body = json!({ "type": "m.login.password", "user": username, "password": password });
    user(server.post("/_matrix/client/v3/login", None, body).await.ok())
}

fn user(body: Value) -> TestUser {
    let text = |key: &str| body[key].as_str().unwrap().to_owned();
    TestUser {
        user_id: text("user_id").try_into().unwrap(),
        device_id: text("device_id").into(),
        token: text("access_token"),
    }
}
