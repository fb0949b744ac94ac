//! The database: the embedded one or the one that the config names.

use std::time::Duration;

use anyhow::Context;
use myelin_config::{
    Config,
    sections::database::{self, Postgres},
};
use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgPoolOptions, PgSslMode},
};

use crate::embedded_postgres::EmbeddedPostgres;

/// How long a request waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(20);
/// How long the start waits for a PostgreSQL that is not there yet.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// Pause between two tries.
const CONNECT_PAUSE: Duration = Duration::from_millis(500);
/// Connections that only listen for news of the log.
const LISTEN_CONNECTIONS: u32 = 2;

/// An open database.
pub struct Database {
    /// For reads and writes; may lead through a pooler.
    pub pool: PgPool,
    /// For LISTEN; leads to PostgreSQL itself.
    pub listen_pool: PgPool,
    embedded: Option<EmbeddedPostgres>,
    description: String,
}

/// Opens the database, starting the embedded one if the config names none.
///
/// # Errors
///
/// Why not, for an admin to read.
pub async fn open(config: &Config) -> anyhow::Result<Database> {
    match &config.database {
        database::Database::Embedded => {
            let directory = config.own.data_directory.join("postgres");
            let settings = &config.own.embedded_postgres;
            let embedded = EmbeddedPostgres::start(&directory, settings).await?;
            let options = embedded.connect_options();
            let description = embedded.description();
            let pool = pool_options(1, settings.connections).connect_lazy_with(options.clone());
            let listen_pool = pool_options(0, LISTEN_CONNECTIONS).connect_lazy_with(options);
            Ok(Database { pool, listen_pool, embedded: Some(embedded), description })
        }
        database::Database::Postgres(settings) => {
            let options = connect_options(settings)?;
            let description = format!(
                "PostgreSQL at {} database {}",
                options.get_socket().map_or_else(
                    || options.get_host().to_owned(),
                    |path| path.display().to_string()
                ),
                options.get_database().unwrap_or("(default)")
            );
            let pool = pool_options(settings.connections_min, settings.connections_max)
                .connect_lazy_with(options.clone());
            let listen_pool = pool_options(0, LISTEN_CONNECTIONS).connect_lazy_with(options);
            wait_for(&pool).await.with_context(|| {
                format!("{description} cannot be used (see `database` in the config)")
            })?;
            Ok(Database { pool, listen_pool, embedded: None, description })
        }
    }
}

impl Database {
    /// For messages.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// Closes all connections and stops the embedded PostgreSQL.
    pub async fn close(self) {
        self.listen_pool.close().await;
        self.pool.close().await;
        if let Some(embedded) = self.embedded {
            embedded.stop().await;
        }
    }
}

fn pool_options(connections_min: u32, connections_max: u32) -> PgPoolOptions {
    myelin_storage::pool_options()
        .min_connections(connections_min)
        .max_connections(connections_max)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // One round trip less for every use; a dead connection is told by its first query.
        .test_before_acquire(false)
}

/// Waits for a PostgreSQL that starts at the same time as we do; wrong credentials are told at once.
async fn wait_for(pool: &PgPool) -> Result<(), sqlx::Error> {
    let started = tokio::time::Instant::now();
    loop {
        match pool.acquire().await {
            Ok(_) => return Ok(()),
            Err(error @ (sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut))
                if started.elapsed() < CONNECT_TIMEOUT =>
            {
                tracing::warn!(%error, "the database does not answer yet");
                tokio::time::sleep(CONNECT_PAUSE).await;
            }
            Err(error) => return Err(error),
        }
    }
}

fn connect_options(settings: &Postgres) -> anyhow::Result<PgConnectOptions> {
    let mut options = match &settings.dsn {
        Some(dsn) => parse_dsn(dsn.expose())?,
        None => PgConnectOptions::new(),
    };
    options = options.application_name(settings.application_name.as_deref().unwrap_or("myelin"));
    match settings.hostaddr.as_ref().or(settings.host.as_ref()) {
        Some(host) if host.starts_with('/') => options = options.socket(host),
        Some(host) => options = options.host(host),
        None => {}
    }
    if let Some(port) = settings.port {
        options = options.port(port);
    }
    if let Some(user) = &settings.user {
        options = options.username(user);
    }
    if let Some(password) = &settings.password {
        options = options.password(password.expose());
    }
    if let Some(dbname) = &settings.dbname {
        options = options.database(dbname);
    }
    if let Some(mode) = &settings.sslmode {
        options = options.ssl_mode(mode.parse::<PgSslMode>()?);
    }
    if let Some(file) = &settings.sslrootcert {
        options = options.ssl_root_cert(file);
    }
    if let (Some(certificate), Some(key)) = (&settings.sslcert, &settings.sslkey) {
        options = options.ssl_client_cert(certificate).ssl_client_key(key);
    }
    Ok(options)
}

/// A URL, or libpq's `key=value` words.
fn parse_dsn(dsn: &str) -> anyhow::Result<PgConnectOptions> {
    if dsn.contains("://") {
        return dsn.parse().context("database.args.dsn is no URL of a PostgreSQL");
    }
    let mut options = PgConnectOptions::new();
    for word in dsn.split_whitespace() {
        let (key, value) = word
            .split_once('=')
            .context("database.args.dsn: allowed: a URL, or key=value words")?;
        let value = value.trim_matches('\'');
        options = match key {
            "host" if value.starts_with('/') => options.socket(value),
            "host" | "hostaddr" => options.host(value),
            "port" => options.port(value.parse().context("database.args.dsn: port is no number")?),
            "user" => options.username(value),
            "password" => options.password(value),
            "dbname" => options.database(value),
            "sslmode" => options.ssl_mode(value.parse()?),
            "sslrootcert" => options.ssl_root_cert(value),
            _ => options,
        };
    }
    Ok(options)
}
