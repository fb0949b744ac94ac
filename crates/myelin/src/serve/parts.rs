//! The parts of the server, made from the config: each gets its own small settings.

use std::sync::Arc;

use anyhow::Context;
use myelin_accounts::Accounts;
use myelin_admin_api::AdminApi;
use myelin_client_api::ClientApi;
use myelin_config::Config;
use myelin_engine::Engine;
use myelin_http::RateLimits;
use myelin_model::{Clock, SystemClock};
use myelin_rooms::Rooms;
use myelin_storage::{Db, upkeep::start_upkeep};
use myelin_sync::Sync;
use tokio_util::sync::CancellationToken;

use super::{database::Database, settings};

/// All parts that serve requests.
pub struct Parts {
    /// What the client-server API works with.
    pub client_api: ClientApi,
    /// What the admin API works with.
    pub admin_api: AdminApi,
    storage_stop: CancellationToken,
}

impl Parts {
    /// Brings the schema up to date and starts the parts. `stop` ends what waits for news.
    pub async fn start(
        config: &Config,
        database: &Database,
        stop: &CancellationToken,
    ) -> anyhow::Result<Parts> {
        let server_name = settings::server_name(config)?;
        let key = settings::signing_key(config)?;
        let appservices = settings::appservices(config, &server_name)?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);

        Db::migrate(&database.pool)
            .await
            .context("the database's schema could not be brought up to date")?;
        // Storage goes on until the last request is answered.
        let storage_stop = CancellationToken::new();
        let (pool, listen_pool) = (database.pool.clone(), database.listen_pool.clone());
        let db =
            Db::open(pool, listen_pool, &settings::storage(config, &clock), storage_stop.clone())
                .await
                .context("the database cannot be opened")?;
        let leases = db.start_leases(storage_stop.clone());
        start_upkeep(&db, leases, settings::upkeep(config, &clock), stop.clone());
        let accounts = Accounts::new(
            db.clone(),
            clock.clone(),
            server_name.clone(),
            settings::accounts(config),
            appservices,
        );
        let sync = Sync::start(db.clone(), clock.clone(), settings::sync(config)?, stop.clone());
        let engine = Engine::new(db.clone(), clock, server_name.clone(), key);
        let room_settings = settings::rooms(config, &server_name)?;
        let rooms = Rooms::new(engine, room_settings);
        let rate_limits = RateLimits::new(&settings::rate_limits(config));
        let settings = settings::client_api(config);
        let admin_api = AdminApi::new(accounts.clone());
        let client_api = ClientApi { db, accounts, rooms, sync, rate_limits, settings };
        Ok(Parts { client_api, admin_api, storage_stop })
    }

    /// Stops what runs in the background.
    pub async fn stop(self) {
        self.storage_stop.cancel();
    }
}
