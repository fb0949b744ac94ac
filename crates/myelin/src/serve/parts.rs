//! The parts of the server, made from the config: each gets its own small settings.

use anyhow::Context;
use myelin_config::Config;
use myelin_storage::{Db, StorageSettings};
use tokio_util::sync::CancellationToken;

use super::database::Database;

/// All parts that serve requests.
pub struct Parts {
    /// Everything stored.
    pub db: Db,
    storage_stop: CancellationToken,
}

impl Parts {
    /// Brings the schema up to date and starts the parts. `stop` ends what waits for news.
    pub async fn start(
        _config: &Config,
        database: &Database,
        _stop: &CancellationToken,
    ) -> anyhow::Result<Parts> {
        Db::migrate(&database.pool)
            .await
            .context("the database's schema could not be brought up to date")?;
        // Storage goes on until the last request is answered.
        let storage_stop = CancellationToken::new();
        let settings = StorageSettings::default();
        let db = Db::open(
            database.pool.clone(),
            database.listen_pool.clone(),
            &settings,
            storage_stop.clone(),
        )
        .await
        .context("the database cannot be opened")?;
        Ok(Parts { db, storage_stop })
    }

    /// Stops what runs in the background.
    pub async fn stop(self) {
        self.storage_stop.cancel();
        drop(self.db);
    }
}
