//! The parts of the server, made from the config: each gets its own small settings.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, bail};
use myelin_accounts::Accounts;
use myelin_admin_api::AdminApi;
use myelin_client_api::ClientApi;
use myelin_config::Config;
use myelin_e2ee::E2ee;
use myelin_engine::Engine;
use myelin_http::RateLimits;
use myelin_model::{Clock, SystemClock};
use myelin_rooms::{Rooms, unfinished};
use myelin_storage::{DatabaseContents, Db, Leases, upkeep::start_upkeep};
use myelin_sync::Sync;
use ruma::ServerName;
use tokio_util::sync::CancellationToken;

use super::{Prepared, database::Database, settings};

/// The number of another program's tables that a message names.
const TABLES_NAMED_MAX: usize = 5;

/// The time that a stop waits for the last writes.
const LAST_WRITES_TIMEOUT: Duration = Duration::from_secs(2);

/// All parts that serve requests.
pub struct Parts {
    /// The state of the client-server API's handlers.
    pub client_api: ClientApi,
    /// The state of the admin API's handlers.
    pub admin_api: AdminApi,
    db: Db,
    leases: Leases,
    storage_stop: CancellationToken,
}

impl Parts {
    /// Brings the schema up to date and starts the parts. `stop` ends what waits for news.
    pub async fn start(
        config: &Config,
        prepared: Prepared,
        database: &Database,
        stop: &CancellationToken,
    ) -> anyhow::Result<Parts> {
        let server_name = prepared.server_name;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);

        check_contents(database, &server_name).await?;
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
        start_upkeep(&db, leases.clone(), settings::upkeep(config, &clock), stop.clone());
        let accounts = Accounts::new(
            db.clone(),
            clock.clone(),
            server_name.clone(),
            settings::accounts(config),
            prepared.appservices,
            prepared.outbound,
        );
        let e2ee = E2ee::new(db.clone(), clock.clone(), server_name.clone());
        let sync = Sync::start(db.clone(), clock.clone(), prepared.sync, stop.clone());
        let engine = Engine::new(db.clone(), clock, server_name, prepared.signing_key);
        start_joining(engine.clone(), stop.clone());
        let rooms = Rooms::new(engine, prepared.rooms);
        start_looking_after(rooms.clone(), leases.clone(), stop.clone());
        let rate_limits = RateLimits::new(&settings::rate_limits(config));
        let settings = settings::client_api(config);
        let admin_api = AdminApi::new(accounts.clone(), rooms.clone());
        let client_api = ClientApi { accounts, rooms, e2ee, sync, rate_limits, settings };
        Ok(Parts { client_api, admin_api, db, leases, storage_stop })
    }

    /// Stops what runs in the background: writes what was kept in memory, and gives back what this node does for all, so that
    /// another goes on at once. The database must be open until then.
    pub async fn stop(self) {
        self.storage_stop.cancel();
        let ended = async {
            self.db.written().await;
            self.leases.ended().await;
        };
        if tokio::time::timeout(LAST_WRITES_TIMEOUT, ended).await.is_err() {
            tracing::warn!("the last writes did not end in time");
        }
    }
}

/// Finishes work that other nodes left undone, until `stop`.
fn start_looking_after(rooms: Rooms, leases: Leases, stop: CancellationToken) {
    tokio::spawn(async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = unfinished::look_after(&rooms, &leases) => {}
        }
    });
}

/// Joins the forward extremities of rooms where many are left, until `stop`.
fn start_joining(engine: Engine, stop: CancellationToken) {
    tokio::spawn(async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = engine.keep_joined() => {}
        }
    });
}

/// Refuses the database of a server of another name: with a mistyped name it would go on as somebody else.
fn check_owner(
    database: &Database,
    server_name: &ServerName,
    user_id: Option<String>,
) -> anyhow::Result<()> {
    match user_id.as_deref().and_then(|user_id| user_id.split_once(':')) {
        Some((_, owner)) if owner != server_name.as_str() => bail!(
            "{} holds the accounts of {owner}, but server_name is {server_name}. The name of a server cannot change: set \
             server_name to {owner}, or name another database",
            database.description()
        ),
        Some(_) | None => Ok(()),
    }
}

/// Refuses a database that is somebody else's, before anything is written to it.
async fn check_contents(database: &Database, server_name: &ServerName) -> anyhow::Result<()> {
    const ADVICE: &str = "Nothing in it was touched. Myelin needs a database of its own: make an empty one (`createdb \
                          myelin`) and name it in database.args.dbname, or remove `database` from the config, so that \
                          Myelin runs a PostgreSQL of its own";
    let found = Db::inspect(&database.pool)
        .await
        .with_context(|| format!("{} cannot be read", database.description()))?;
    match found {
        DatabaseContents::Empty => Ok(()),
        DatabaseContents::Myelin { user_id } => check_owner(database, server_name, user_id),
        DatabaseContents::Synapse { schema_version } => {
            let version = schema_version.map_or_else(String::new, |version| format!(" {version}"));
            bail!(
                "{} holds the data of a Synapse (schema version{version}). They cannot be taken over yet. {ADVICE}",
                database.description()
            )
        }
        DatabaseContents::OtherEncoding { encoding } => bail!(
            "{} keeps texts in {encoding}, which has not all letters that people write. Nothing in it was touched. Make a \
             database in UTF-8 (`createdb --encoding=UTF8 --locale=C --template=template0 myelin`) and name it in \
             database.args.dbname",
            database.description()
        ),
        DatabaseContents::Other { tables } => bail!(
            "{} holds {} tables of another program ({}). {ADVICE}",
            database.description(),
            tables.len(),
            tables.iter().take(TABLES_NAMED_MAX).map(String::as_str).collect::<Vec<_>>().join(", ")
        ),
    }
}

#[cfg(test)]
mod tests {
    use ruma::server_name;
    use sqlx::{Executor as _, PgPool};

    use super::*;

    async fn refusal(pool: &PgPool) -> String {
        let database = Database::of_test(pool.clone());
        let checked = check_contents(&database, server_name!("h.org")).await;
        checked.err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[sqlx::test(migrations = false)]
    async fn what_is_not_this_servers_is_refused(pool: PgPool) {
        assert_eq!(refusal(&pool).await, "");
        pool.execute(
            "CREATE TABLE schema_version (version int); CREATE TABLE applied_schema_deltas (file text);
             INSERT INTO schema_version VALUES (94)",
        )
        .await
        .unwrap();
        let text = refusal(&pool).await;
        assert!(
            text.contains("a Synapse (schema version 94)") && text.contains("createdb"),
            "{text}"
        );
        pool.execute("DROP TABLE schema_version, applied_schema_deltas").await.unwrap();
        Db::migrate(&pool).await.unwrap();
        assert_eq!(refusal(&pool).await, "");
        pool.execute("INSERT INTO users (user_id, created_ts) VALUES ('@a:other.org', 1)")
            .await
            .unwrap();
        assert!(refusal(&pool).await.contains("set server_name to other.org"));
    }
}
