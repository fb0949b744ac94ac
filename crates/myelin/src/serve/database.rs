//! The database: the embedded one or the one that the config names.

use std::{path::Path, time::Duration};

use anyhow::Context;
use myelin_config::{
    Config,
    sections::database::{self, Postgres},
};
use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgPoolOptions, PgSslMode},
};

use super::passfile;
use crate::embedded_postgres::EmbeddedPostgres;

/// The time that a request waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(20);
/// The time that the start waits for a PostgreSQL that is not there yet.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// Pause between two tries.
const CONNECT_PAUSE: Duration = Duration::from_millis(500);
/// Connections that only listen for news of the log.
const LISTEN_CONNECTIONS: u32 = 2;

/// An open database.
pub struct Database {
    /// The connections for reads and writes. They may lead through a pooler.
    pub pool: PgPool,
    /// The connections for LISTEN. They lead to PostgreSQL itself.
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

/// Checks the settings of the database without opening it.
///
/// # Errors
///
/// What is wrong, for an admin to read.
pub fn check(settings: &database::Database) -> anyhow::Result<()> {
    match settings {
        database::Database::Embedded => Ok(()),
        database::Database::Postgres(settings) => connect_options(settings).map(drop),
    }
}

impl Database {
    /// A database of a test.
    #[cfg(test)]
    pub fn of_test(pool: PgPool) -> Database {
        Database { listen_pool: pool.clone(), pool, embedded: None, description: "here".to_owned() }
    }

    /// A text for messages that names the database.
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
        // One round trip less for every use. Storage asks again where the first statement finds its connection dead.
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
        Some(dsn) => dsn.expose().parse().context("database.args.dsn is no URL of a PostgreSQL")?,
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
    if let Some(dbname) = &settings.dbname {
        options = options.database(dbname);
    }
    if let Some(mode) = &settings.sslmode {
        options = options.ssl_mode(mode.parse::<PgSslMode>().context("database.args.sslmode")?);
    }
    if let Some(file) = &settings.sslrootcert {
        options = options.ssl_root_cert(file);
    }
    if let (Some(certificate), Some(key)) = (&settings.sslcert, &settings.sslkey) {
        options = options.ssl_client_cert(certificate).ssl_client_key(key);
    }
    if let Some(text) = &settings.options {
        options = options.options(parse_options(text)?);
    }
    let password = match (&settings.password, &settings.passfile) {
        (Some(password), _) => Some(password.expose().to_owned()),
        (None, Some(file)) => passfile::find_password(Path::new(file), &options)?,
        (None, None) => None,
    };
    Ok(match password {
        Some(password) => options.password(&password),
        None => options,
    })
}

/// The settings of `-c name=value`, `-cname=value` and `--name=value`.
fn parse_options(text: &str) -> anyhow::Result<Vec<(String, String)>> {
    let mut settings = Vec::new();
    let mut words = text.split_whitespace();
    while let Some(word) = words.next() {
        let setting = match word.strip_prefix("--").or_else(|| word.strip_prefix("-c")) {
            Some("") => words.next(),
            setting => setting,
        };
        let (name, value) = setting
            .and_then(|setting| setting.split_once('='))
            .context("database.args.options: allowed: settings of the form -c name=value")?;
        settings.push((name.to_owned(), value.to_owned()));
    }
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_sessions() {
        let expected = [("search_path", "matrix,public"), ("work_mem", "4MB"), ("jit", "off")];
        let got = parse_options("-c search_path=matrix,public -cwork_mem=4MB --jit=off").unwrap();
        let got: Vec<(&str, &str)> =
            got.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(got, expected);
        assert!(parse_options("-x").is_err() && parse_options("-c").is_err());
    }
}
