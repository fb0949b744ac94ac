//! The server process of the cluster: started, adopted, watched, stopped.

use std::{
    io::{Read, Seek, SeekFrom},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::{Connection, PgConnection};
use tokio::process::Child;

use super::cluster::Cluster;

/// Pause between two looks whether the cluster answers.
const READY_PAUSE: Duration = Duration::from_millis(30);
/// The number of times that a start is tried while processes of a killed one still hold its memory.
const START_TRIES: u32 = 20;
/// Pause between two such tries.
const START_PAUSE: Duration = Duration::from_millis(300);
/// Pause between two looks whether an adopted process is still there.
const ADOPTED_PAUSE: Duration = Duration::from_millis(100);
/// The time between two messages to an admin that recovery still goes on.
const READY_REPORT_INTERVAL: Duration = Duration::from_secs(10);
/// The time that a fast shutdown may take before the immediate one, which the next start recovers from.
const STOP_TIMEOUT: Duration = Duration::from_secs(60);
/// The size of the end of PostgreSQL's log that is shown when it does not start, in bytes.
const LOG_TAIL_BYTES: u64 = 2000;

/// The server process.
pub struct Postmaster {
    pid: Pid,
    kind: Kind,
    /// Dropped before it is ready (the admin stops a start), it must not stay behind.
    stop_on_drop: bool,
}

impl Drop for Postmaster {
    fn drop(&mut self) {
        if self.stop_on_drop {
            _ = kill_process(self.pid, Signal::INT);
        }
    }
}

enum Kind {
    /// A process that this server started.
    Child(Child),
    /// A process that was left running by a Myelin that was killed.
    Adopted,
}

impl Postmaster {
    /// Takes over the process that runs already, or starts one, and waits until it answers.
    pub async fn start_or_adopt(cluster: &Cluster) -> anyhow::Result<Postmaster> {
        let mut tries_left = START_TRIES;
        loop {
            let mut postmaster = match Self::find_running(cluster) {
                Some(adopted) => {
                    tracing::info!(
                        pid = adopted.pid.as_raw_nonzero().get(),
                        "found the embedded PostgreSQL running"
                    );
                    adopted
                }
                None => {
                    remove_stale_locks(cluster);
                    Self::start(cluster)?
                }
            };
            tries_left -= 1;
            match postmaster.wait_ready(cluster).await {
                // Processes of one that was killed may still be about to end.
                Err(_) if tries_left > 0 && tail(cluster).contains("still in use") => {
                    tokio::time::sleep(START_PAUSE).await;
                }
                result => return result.map(|()| postmaster),
            }
        }
    }

    fn start(cluster: &Cluster) -> anyhow::Result<Postmaster> {
        let mut command = tokio::process::Command::from(cluster.command()?);
        let child = command.spawn().with_context(|| {
            format!("{} does not run", cluster.binaries.program("postgres").display())
        })?;
        let pid = child
            .id()
            .and_then(|id| Pid::from_raw(i32::try_from(id).ok()?))
            .context("PostgreSQL has no pid")?;
        Ok(Postmaster { pid, kind: Kind::Child(child), stop_on_drop: true })
    }

    /// The process that `postmaster.pid` names, if it is alive and indeed works in this folder.
    fn find_running(cluster: &Cluster) -> Option<Postmaster> {
        let text = std::fs::read_to_string(cluster.directory.join("postmaster.pid")).ok()?;
        let pid = Pid::from_raw(text.lines().next()?.trim().parse().ok()?)?;
        // A process that ended and was not collected yet has no working folder.
        let folder = std::fs::canonicalize(&cluster.directory).ok()?;
        if std::fs::read_link(format!("/proc/{}/cwd", pid.as_raw_nonzero())).ok()? != folder {
            return None;
        }
        Some(Postmaster { pid, kind: Kind::Adopted, stop_on_drop: true })
    }

    async fn wait_ready(&mut self, cluster: &Cluster) -> anyhow::Result<()> {
        let started = Instant::now();
        let mut reported = started;
        let options = cluster.maintenance_options();
        loop {
            let error = match PgConnection::connect_with(&options).await {
                Ok(connection) => {
                    _ = connection.close().await;
                    self.stop_on_drop = false;
                    return Ok(());
                }
                Err(error) => error,
            };
            if let Some(status) = self.exited()? {
                self.stop_on_drop = false;
                bail!(
                    "PostgreSQL ended at its start ({status}). The end of {}:\n{}",
                    cluster.log_path().display(),
                    tail(cluster)
                );
            }
            if reported.elapsed() > READY_REPORT_INTERVAL {
                reported = Instant::now();
                tracing::info!(seconds = started.elapsed().as_secs(), %error, "waiting for the embedded PostgreSQL");
            }
            tokio::time::sleep(READY_PAUSE).await;
        }
    }

    fn exited(&mut self) -> anyhow::Result<Option<String>> {
        Ok(match &mut self.kind {
            Kind::Child(child) => child.try_wait()?.map(|status| status.to_string()),
            Kind::Adopted => (!is_alive(self.pid)).then(|| "no longer there".to_owned()),
        })
    }

    /// Waits until the process ends, and tells how.
    pub async fn wait(&mut self) -> String {
        match &mut self.kind {
            Kind::Child(child) => match child.wait().await {
                Ok(status) => status.to_string(),
                Err(error) => error.to_string(),
            },
            Kind::Adopted => {
                // Not our child, so nothing tells us.
                while is_alive(self.pid) {
                    tokio::time::sleep(ADOPTED_PAUSE).await;
                }
                "ended".to_owned()
            }
        }
    }

    /// Stops it: connections are closed and everything is written out.
    pub async fn stop(mut self) {
        // SIGINT is PostgreSQL's fast shutdown; SIGQUIT the immediate one.
        _ = kill_process(self.pid, Signal::INT);
        if tokio::time::timeout(STOP_TIMEOUT, self.wait()).await.is_err() {
            tracing::warn!(
                "the embedded PostgreSQL takes too long to stop; the next start will recover it"
            );
            _ = kill_process(self.pid, Signal::QUIT);
            _ = tokio::time::timeout(STOP_TIMEOUT, self.wait()).await;
        }
    }
}

/// Whether a process is there and has not ended (it may wait for its parent to collect it).
fn is_alive(pid: Pid) -> bool {
    let stat =
        std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    let state = stat.rsplit_once(')').and_then(|(_, rest)| rest.trim_start().chars().next());
    state.is_some_and(|state| !matches!(state, 'Z' | 'X'))
}

/// Deletes the lock files of a PostgreSQL that is gone. PostgreSQL itself would take any process that has the
/// number now, or one that ended but was not collected, for the old one. What may still use the data is told by
/// its shared memory.
fn remove_stale_locks(cluster: &Cluster) {
    for name in ["postmaster.pid", ".s.PGSQL.5432.lock", ".s.PGSQL.5432"] {
        match std::fs::remove_file(cluster.directory.join(name)) {
            Ok(()) => tracing::debug!(name, "deleted the stale lock of the embedded PostgreSQL"),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                tracing::warn!(name, %error, "a stale lock of the embedded PostgreSQL cannot be deleted")
            }
        }
    }
}

fn tail(cluster: &Cluster) -> String {
    let read = || -> std::io::Result<String> {
        let mut file = std::fs::File::open(cluster.log_path())?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    read().unwrap_or_default()
}
