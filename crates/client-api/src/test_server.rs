//! This surface as a server for tests.

use std::sync::Arc;

use myelin_events::SigningKey;
use myelin_http::{RateLimitSettings, RateLimits};
use myelin_rooms::{RoomSettings, Rooms};
use myelin_testing::{TestParts, TestServer};
use sqlx::PgPool;

use crate::ClientApi;

/// The state of this surface over the parts of a test server.
pub(crate) fn state(parts: &TestParts) -> ClientApi {
    ClientApi {
        db: parts.db.clone(),
        accounts: parts.accounts.clone(),
        rooms: Rooms::new(
            parts.db.clone(),
            parts.clock(),
            parts.server_name.to_owned(),
            Arc::new(SigningKey::from_seed(&[7; 32], "test")),
            RoomSettings::default(),
        ),
        rate_limits: RateLimits::new(&RateLimitSettings::unlimited()),
    }
}

/// Start the client-server API over a database of the test's own.
pub(crate) async fn open(pool: PgPool) -> TestServer {
    TestServer::open(pool, |parts| crate::routes().with_state(state(parts)).finish()).await
}
