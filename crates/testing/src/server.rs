//! A whole server without a socket: the surface's router over a database of the test's own.

use std::{sync::Arc, time::Duration};

use axum::{Router, body::Body};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use myelin_accounts::{Accounts, AccountsSettings};
use myelin_model::{Appservices, Clock, Secret, TokenHash};
use myelin_outbound::{AddressRules, Outbound};
use myelin_storage::{
    Db, StorageSettings,
    accounts::{NewAccessToken, NewUser},
};
use ruma::{OwnedDeviceId, OwnedUserId, ServerName, server_name};
use serde_json::Value;
use sqlx::PgPool;
use tokio_util::sync::{CancellationToken, DropGuard};
use tower::ServiceExt as _;

use crate::TestClock;

/// A node may take this long to hear of what another wrote, on a busy machine.
const HEARING_MAX: Duration = Duration::from_secs(30);

/// The parts that a surface builds its state from.
#[derive(Debug, Clone)]
pub struct TestParts {
    pub db: Db,
    pub clock: Arc<TestClock>,
    pub accounts: Accounts,
    pub server_name: &'static ServerName,
}

impl TestParts {
    /// The clock as use cases take it.
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock) as Arc<dyn Clock>
    }
}

/// A server named `example.org`.
#[derive(Debug)]
pub struct TestServer {
    /// The parts that its state was built from.
    pub parts: TestParts,
    router: Router,
    _stop: DropGuard,
}

/// A registered user with a device.
#[derive(Debug, Clone)]
pub struct TestUser {
    pub user_id: OwnedUserId,
    pub device_id: OwnedDeviceId,
    pub token: String,
}

/// An answer.
#[derive(Debug)]
pub struct TestResponse {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// The body: JSON, or null if it is something else.
    pub body: Value,
    /// The body as text, whatever it is.
    pub text: String,
}

impl TestResponse {
    /// `(status, errcode)`, with an empty code where there is none.
    pub fn error(&self) -> (u16, &str) {
        (self.status.as_u16(), self.body["errcode"].as_str().unwrap_or_default())
    }

    /// The body of an answer that must be 200.
    #[track_caller]
    pub fn ok(self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{}", self.text);
        self.body
    }
}

impl TestServer {
    /// Start a server that everybody may register on. `build` makes its router.
    pub async fn open(pool: PgPool, build: impl FnOnce(&TestParts) -> Router) -> Self {
        let settings = AccountsSettings {
            enable_registration: true,
            registration_shared_secret: Some(Secret::new("shared secret".to_owned())),
            nonce_key: Secret::new("nonce key".to_owned()),
            allow_guest_access: true,
            ..AccountsSettings::default()
        };
        Self::open_with(pool, settings, Appservices::default(), build).await
    }

    /// Start a server with settings of its own.
    pub async fn open_with(
        pool: PgPool,
        settings: AccountsSettings,
        appservices: Appservices,
        build: impl FnOnce(&TestParts) -> Router,
    ) -> Self {
        let stop = CancellationToken::new();
        let db =
            Db::open(pool.clone(), pool, &StorageSettings::default(), stop.clone()).await.unwrap();
        let clock = Arc::new(TestClock::default());
        let server_name = server_name!("example.org");
        let accounts = Accounts::new(
            db.clone(),
            Arc::clone(&clock) as Arc<dyn Clock>,
            server_name.to_owned(),
            settings,
            appservices,
            Outbound::new(AddressRules::new(vec![], vec![])).unwrap(),
        );
        let parts = TestParts { db, clock, accounts, server_name };
        let router = build(&parts);
        Self { parts, router, _stop: stop.drop_guard() }
    }

    /// Wait until this node has applied what another node over the same database has: a node hears of the others' writes
    /// only after they were answered.
    pub async fn hear(&self, other: &Self) {
        let applied = other.parts.db.log().applied();
        assert!(self.parts.db.log().wait_for(applied, HEARING_MAX).await, "it hears nothing");
    }

    /// Register a user, past all checks, with a device named `DEV`.
    pub async fn user(&self, localpart: &str) -> TestUser {
        let user_id =
            OwnedUserId::try_from(format!("@{localpart}:{}", self.parts.server_name)).unwrap();
        self.add_user(NewUser {
            user_id,
            password_hash: None,
            created_ts: self.parts.clock.now_ms(),
            user_type: None,
            appservice_id: None,
            is_guest: false,
            is_admin: false,
        })
        .await
    }

    /// Register any kind of user, past all checks, with a device named `DEV`.
    pub async fn add_user(&self, user: NewUser) -> TestUser {
        let (user_id, device_id) = (user.user_id.clone(), OwnedDeviceId::from("DEV"));
        let token = format!("token-{}", user_id.localpart());
        let mut tx = self.parts.db.begin().await.unwrap();
        assert!(tx.users().add(&user).await.unwrap(), "{user_id} is taken");
        tx.devices().add(&user_id, &device_id, None, user.created_ts).await.unwrap();
        tx.tokens()
            .add_access(&NewAccessToken {
                hash: &TokenHash::of(&token),
                user_id: &user_id,
                device_id: Some(&device_id),
                created_ts: user.created_ts,
                expires_ts: None,
                refresh_nid: None,
            })
            .await
            .unwrap();
        tx.commit().await.unwrap();
        TestUser { user_id, device_id, token }
    }

    /// `GET`, as `user`.
    pub async fn get(&self, path: &str, user: Option<&TestUser>) -> TestResponse {
        self.request(Method::GET, path, user, None).await
    }

    /// `POST` JSON, as `user`.
    pub async fn post(&self, path: &str, user: Option<&TestUser>, body: Value) -> TestResponse {
        self.request(Method::POST, path, user, Some(body)).await
    }

    /// `PUT` JSON, as `user`.
    pub async fn put(&self, path: &str, user: Option<&TestUser>, body: Value) -> TestResponse {
        self.request(Method::PUT, path, user, Some(body)).await
    }

    /// `DELETE`, as `user`.
    pub async fn delete(&self, path: &str, user: Option<&TestUser>) -> TestResponse {
        self.request(Method::DELETE, path, user, None).await
    }

    /// Make a request, with a token and a JSON body if they are given.
    pub async fn request(
        &self,
        method: Method,
        path: &str,
        user: Option<&TestUser>,
        body: Option<Value>,
    ) -> TestResponse {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(user) = user {
            request = request.header("Authorization", format!("Bearer {}", user.token));
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        self.send(request.body(body).unwrap()).await
    }

    /// Make a request that the test has built itself.
    pub async fn send(&self, request: Request<Body>) -> TestResponse {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        TestResponse {
            status,
            headers,
            body: serde_json::from_slice(&bytes).unwrap_or_default(),
            text,
        }
    }
}
