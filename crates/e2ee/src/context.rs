//! The structure that every use case of this crate works on.

use myelin_storage::Db;

/// The keys that this server's users keep for one another and for themselves. It is cheap to clone.
#[derive(Debug, Clone)]
pub struct E2ee {
    db: Db,
}

impl E2ee {
    /// Serve the keys that are in `db`.
    pub fn new(db: Db) -> Self {
        Self { db }
    }

    /// Storage. Whoever is not of this crate reads and writes keys by its use cases.
    pub(crate) fn db(&self) -> &Db {
        &self.db
    }
}
