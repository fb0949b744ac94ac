//! `myelin serve`: reads the config, starts the parts in order, serves, and stops them in reverse.

mod database;
mod parts;
mod passfile;
mod prepared;
mod routers;
mod settings;
mod signals;

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, anyhow};
use hyper_util::server::graceful::GracefulShutdown;
use myelin_config::{
    Config, Loaded, Sources, Warning, Weight,
    sections::listeners::{ListenAddress, Listener, ListenerKind, Resource},
};
use tokio_util::sync::CancellationToken;

pub use self::prepared::Prepared;

use crate::{
    listeners::{self, Socket, TlsReloader},
    telemetry::{logs, metrics::Metrics, traces::Traces},
};

/// The time between two tidyings of histograms.
const METRICS_TIDY_INTERVAL: Duration = Duration::from_secs(5);

/// Runs the server until SIGTERM or SIGINT.
///
/// # Errors
///
/// Why it could not start, for an admin to read.
pub fn serve(sources: &Sources) -> anyhow::Result<()> {
    let sources = Sources { create_secrets: true, ..sources.clone() };
    let loaded = myelin_config::load(&sources).map_err(|error| {
        tell_warnings(&error.warnings);
        anyhow!("the config is not right:\n{error}")
    })?;
    let prepared =
        Prepared::new(&loaded.config).inspect_err(|_| tell_warnings(&loaded.warnings))?;
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.enable_all().thread_name("myelin");
    if let Some(threads) = loaded.config.own.worker_threads {
        runtime.worker_threads(threads);
    }
    let runtime = runtime.build().context("the async runtime does not start")?;
    let result = runtime.block_on(run(sources, loaded, prepared));
    // Whatever still runs after the drain must not hold the process.
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

async fn run(sources: Sources, loaded: Loaded, mut prepared: Prepared) -> anyhow::Result<()> {
    let config = Arc::new(loaded.config.clone());
    let otlp = config.own.otlp.as_ref();
    let traces = otlp.map(|otlp| Traces::start(otlp, prepared.outbound.clone())).transpose()?;
    let log_handle = logs::start(&config, traces.as_ref().map(Traces::layer))?;
    tell_config(&loaded);
    raise_file_limit();
    let mut signals = signals::Signals::listen()?;
    let metrics = Metrics::start(&config.server.server_name)?;
    let tls = prepared.tls.take();
    let bound = bind(&config)?;
    let _pid_file = write_pid_file(&config);

    let stop = CancellationToken::new();
    let database = tokio::select! {
        database = database::open(&config) => database?,
        // A stop during a long recovery must not wait for its end.
        () = signals.wait_stop() => return Ok(()),
    };
    let parts = match parts::Parts::start(&config, prepared, &database, &stop).await {
        Ok(parts) => parts,
        Err(error) => {
            database.close().await;
            return Err(error);
        }
    };

    let graceful = Arc::new(GracefulShutdown::new());
    for (listener, sockets) in bound {
        let router = routers::for_listener(&listener, &config, &parts, &metrics);
        listeners::serve(&listener, sockets, &router, tls.as_ref(), &graceful, &stop);
    }
    tidy_metrics(metrics.clone(), stop.clone());
    tell_ready(&config, &database);
    notify(&[sd_notify::NotifyState::Ready]);

    while let signals::Signal::Reload = signals.next().await {
        reload(&sources, &log_handle, tls.as_ref());
    }

    tracing::info!("stopping");
    notify(&[sd_notify::NotifyState::Stopping]);
    stop.cancel();
    drain(graceful, Duration::from_millis(config.own.shutdown_timeout_ms)).await;
    parts.stop().await;
    database.close().await;
    tracing::info!("stopped");
    if let Some(traces) = traces {
        traces.stop().await;
    }
    Ok(())
}

/// Says what has no effect in a config that is refused: there are no logs yet.
fn tell_warnings(warnings: &[Warning]) {
    for warning in warnings {
        eprintln!("{}", warning.with_weight());
    }
}

/// Says which files were read and what in them has no effect.
fn tell_config(loaded: &Loaded) {
    let files: Vec<String> = loaded.files.iter().map(|file| file.display().to_string()).collect();
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        server_name = %loaded.config.server.server_name,
        config = %files.join(", "),
        "Myelin starts"
    );
    for warning in &loaded.warnings {
        match warning.weight {
            Weight::Warn => tracing::warn!("config: {warning}"),
            Weight::Note => tracing::info!("config: {warning}"),
        }
    }
    if let Some(file) = &loaded.config.signing.created {
        tracing::warn!(
            file = %file.display(),
            "a new signing key was made, as asked for. Back it up: it is the identity of this server"
        );
    }
}

/// Says where clients find the server.
fn tell_ready(config: &Config, database: &database::Database) {
    let urls: Vec<String> = config.listeners.iter().filter_map(client_url).collect();
    let base = config.server.public_baseurl.clone();
    let url = base
        .or_else(|| urls.first().cloned())
        .unwrap_or_else(|| "(no listener serves clients)".to_owned());
    tracing::info!(database = %database.description(), listeners = %urls.join(" "), "ready. Homeserver URL for clients: {url}");
}

fn client_url(listener: &Listener) -> Option<String> {
    if listener.kind != ListenerKind::Http || !listener.serves(Resource::Client) {
        return None;
    }
    match &listener.address {
        ListenAddress::Tcp { port, .. } => {
            Some(format!("{}://localhost:{port}", if listener.tls { "https" } else { "http" }))
        }
        ListenAddress::Unix { .. } => None,
    }
}

fn bind(config: &Config) -> anyhow::Result<Vec<(Listener, Vec<Socket>)>> {
    let mut bound = Vec::new();
    for listener in &config.listeners {
        if listener.kind == ListenerKind::Metrics && !config.server.enable_metrics {
            tracing::warn!(listener = %listener.name(), "metrics listener left out: enable_metrics is not true");
            continue;
        }
        let sockets = listeners::bind(listener)?;
        for socket in &sockets {
            tracing::info!(listener = %listener.name(), address = %socket.address(), tls = listener.tls, "listening");
        }
        bound.push((listener.clone(), sockets));
    }
    Ok(bound)
}

/// The pid file, deleted on drop: by a start that fails, too.
struct PidFile(PathBuf);

impl Drop for PidFile {
    fn drop(&mut self) {
        _ = std::fs::remove_file(&self.0);
    }
}

/// Writes the pid file, in a folder that a first start may have to make. A folder that cannot be written is no reason not to
/// start.
fn write_pid_file(config: &Config) -> Option<PidFile> {
    let file = config.server.pid_file.clone()?;
    let made = file.parent().map_or(Ok(()), std::fs::create_dir_all);
    match made.and_then(|()| std::fs::write(&file, format!("{}\n", std::process::id()))) {
        Ok(()) => Some(PidFile(file)),
        Err(error) => {
            tracing::warn!(file = %file.display(), %error, "pid_file cannot be written");
            None
        }
    }
}

/// Every connection is an open file: take as many as the system allows.
fn raise_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::debug!(%error, "the limit of open files could not be raised");
    }
}

fn tidy_metrics(metrics: Arc<Metrics>, stop: CancellationToken) {
    tokio::spawn(async move {
        let mut interval = tokio::time::interval(METRICS_TIDY_INTERVAL);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = interval.tick() => metrics.tidy(),
            }
        }
    });
}

/// SIGHUP: certificates and log levels anew. What is wrong is told, and what was in use stays.
fn reload(sources: &Sources, log_handle: &logs::LogHandle, tls: Option<&TlsReloader>) {
    tracing::info!("reloading certificates and log levels");
    if let Some(Err(error)) = tls.map(TlsReloader::reload) {
        tracing::error!("certificates not reloaded: {error:#}");
    }
    let result = match myelin_config::load(sources) {
        Ok(loaded) => log_handle.reload(&loaded.config),
        Err(error) => Err(error.into()),
    };
    if let Err(error) = result {
        tracing::error!("logs not reloaded: {error:#}");
    }
}

/// Waits for requests under way, bounded.
async fn drain(graceful: Arc<GracefulShutdown>, timeout: Duration) {
    // Only the accept loops hold it too, and they end with `stop`.
    let mut graceful = graceful;
    let graceful = loop {
        match Arc::try_unwrap(graceful) {
            Ok(graceful) => break graceful,
            Err(shared) => graceful = shared,
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    };
    let count = graceful.count();
    if tokio::time::timeout(timeout, graceful.shutdown()).await.is_err() {
        tracing::warn!(connections = count, "some requests did not end in time");
    }
}

fn notify(states: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd could not be told");
    }
}
