//! The structure that every use case of this crate works on.

use std::sync::Arc;

use myelin_model::{Appservices, Clock};
use myelin_outbound::Outbound;
use myelin_storage::{Db, LogSubscriber};
use ruma::{OwnedServerName, ServerName};

use crate::{AccountsSettings, hashing::Hashing, session::SessionCache};

/// The accounts of this server. It is cheap to clone.
#[derive(Debug, Clone)]
pub struct Accounts {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    db: Db,
    clock: Arc<dyn Clock>,
    server_name: OwnedServerName,
    settings: AccountsSettings,
    appservices: Appservices,
    outbound: Outbound,
    sessions: Arc<SessionCache>,
    hashing: Arc<Hashing>,
}

impl Accounts {
    /// Start to serve the accounts of `server_name`.
    pub fn new(
        db: Db,
        clock: Arc<dyn Clock>,
        server_name: OwnedServerName,
        settings: AccountsSettings,
        appservices: Appservices,
        outbound: Outbound,
    ) -> Self {
        let sessions = Arc::new(SessionCache::new());
        db.log().subscribe(Arc::clone(&sessions) as Arc<dyn LogSubscriber>);
        let hashing = Hashing::new(settings.password_hashes_concurrent_max);
        Self {
            inner: Arc::new(Inner {
                db,
                clock,
                server_name,
                settings,
                appservices,
                outbound,
                sessions,
                hashing,
            }),
        }
    }

    /// Storage. Whoever is not of this crate reads and writes accounts by its use cases.
    pub(crate) fn db(&self) -> &Db {
        &self.inner.db
    }

    /// Milliseconds since the epoch.
    pub fn now_ms(&self) -> u64 {
        self.inner.clock.now_ms()
    }

    /// This server's name.
    pub fn server_name(&self) -> &ServerName {
        &self.inner.server_name
    }

    /// The part of the configuration that concerns accounts.
    pub fn settings(&self) -> &AccountsSettings {
        &self.inner.settings
    }

    /// The application services of this server.
    pub fn appservices(&self) -> &Appservices {
        &self.inner.appservices
    }

    /// The client for requests to others.
    pub(crate) fn outbound(&self) -> &Outbound {
        &self.inner.outbound
    }

    /// The access tokens this node knows.
    pub(crate) fn sessions(&self) -> &SessionCache {
        &self.inner.sessions
    }

    /// The permits and the memory with which passwords are hashed.
    pub(crate) fn hashing(&self) -> &Arc<Hashing> {
        &self.inner.hashing
    }
}
