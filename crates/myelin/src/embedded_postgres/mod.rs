//! The server's own PostgreSQL: a private cluster in the data folder, run from the system's programs.
//!
//! It listens on a unix socket in its folder only, that none but its owner may open. When Myelin runs as
//! root, which PostgreSQL refuses, the cluster belongs to an unprivileged user. That user need not be able to
//! reach the folder by its path (think of `/root`): the programs get it as an open folder and find it at
//! `/proc/self/fd/<n>`, which also keeps the socket's path below the limit of 107 bytes.

mod binaries;
mod cluster;
mod owner;
mod postmaster;

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::Context;
use myelin_config::sections::own::EmbeddedPostgres as Settings;
use sqlx::postgres::PgConnectOptions;
use tokio_util::sync::CancellationToken;

use self::{cluster::Cluster, postmaster::Postmaster};

/// Longest pause before another try to start a PostgreSQL that died.
const RESTART_PAUSE_MAX: Duration = Duration::from_secs(30);

/// A running cluster. It goes on until [`EmbeddedPostgres::stop`].
pub struct EmbeddedPostgres {
    cluster: Arc<Cluster>,
    stop: CancellationToken,
    watcher: tokio::task::JoinHandle<()>,
}

impl EmbeddedPostgres {
    /// Starts the cluster in `directory`, which is made at the first start.
    ///
    /// # Errors
    ///
    /// Tells what is missing and what to do: no PostgreSQL on the system, data of another version, another
    /// Myelin on the same data, a folder that cannot be used, or what PostgreSQL itself said.
    pub async fn start(directory: &Path, settings: &Settings) -> anyhow::Result<Self> {
        let cluster = Arc::new(Cluster::open(directory, settings).await?);
        let postmaster = Postmaster::start_or_adopt(&cluster).await?;
        if let Err(error) = cluster.create_database().await {
            postmaster.stop().await;
            return Err(error).context("the embedded database could not be created");
        }
        let stop = CancellationToken::new();
        let watcher = tokio::spawn(watch(cluster.clone(), postmaster, stop.clone()));
        Ok(EmbeddedPostgres { cluster, stop, watcher })
    }

    /// The options of a connection to the server's database.
    pub fn connect_options(&self) -> PgConnectOptions {
        self.cluster.connect_options()
    }

    /// A text for messages: the version and the folder.
    pub fn description(&self) -> String {
        self.cluster.description()
    }

    /// Stops it in order: connections are closed, everything is on disk.
    pub async fn stop(self) {
        self.stop.cancel();
        if self.watcher.await.is_err() {
            tracing::error!("the embedded PostgreSQL could not be stopped");
        }
    }
}

/// Starts the cluster again whenever it dies, until told to stop it.
async fn watch(cluster: Arc<Cluster>, mut postmaster: Postmaster, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return postmaster.stop().await,
            status = postmaster.wait() => {
                tracing::error!(%status, "the embedded PostgreSQL died; starting it again");
            }
        }
        let mut pause = Duration::from_millis(200);
        postmaster = loop {
            match Postmaster::start_or_adopt(&cluster).await {
                Ok(postmaster) => break postmaster,
                Err(error) => tracing::error!("the embedded PostgreSQL does not start: {error:#}"),
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(RESTART_PAUSE_MAX),
            }
        };
        tracing::info!("the embedded PostgreSQL runs again");
    }
}
