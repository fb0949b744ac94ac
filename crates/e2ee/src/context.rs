//! The structure that every use case of this crate works on.

use std::sync::Arc;

use myelin_model::Clock;
use myelin_storage::Db;
use ruma::{OwnedServerName, ServerName, UserId};

/// The keys that this server's users keep here, and the messages between their devices. It is cheap to clone.
#[derive(Debug, Clone)]
pub struct E2ee {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    db: Db,
    clock: Arc<dyn Clock>,
    server_name: OwnedServerName,
}

impl E2ee {
    /// Serve the users of `server_name`, whose keys and messages are in `db`.
    pub fn new(db: Db, clock: Arc<dyn Clock>, server_name: OwnedServerName) -> Self {
        Self { inner: Arc::new(Inner { db, clock, server_name }) }
    }

    /// Storage. Whoever is not of this crate reads and writes keys and messages by its use cases.
    pub(crate) fn db(&self) -> &Db {
        &self.inner.db
    }

    /// Milliseconds since the epoch.
    pub(crate) fn now_ms(&self) -> u64 {
        self.inner.clock.now_ms()
    }

    /// This server's name.
    pub(crate) fn server_name(&self) -> &ServerName {
        &self.inner.server_name
    }

    /// Whether a user is one of this server.
    pub(crate) fn is_local(&self, user_id: &UserId) -> bool {
        user_id.server_name() == self.server_name()
    }
}
