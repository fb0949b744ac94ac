//! Logs: to the console or files, as text or JSON, from a level that SIGHUP reads again.

mod fields;
mod file;

use std::{io::IsTerminal, sync::Arc};

use anyhow::Context;
use myelin_config::{
    Config,
    sections::logging::{Level, LogConfig, LogFormat, LogTarget, read_log_config},
};
use tracing_subscriber::{
    EnvFilter, Layer, Registry, filter::Targets, layer::SubscriberExt, reload,
    util::SubscriberInitExt,
};

use self::{fields::PlainFields, file::LogFile};

/// Parts of the server that say little of use below warnings.
const QUIET: &[&str] =
    &["sqlx", "hyper", "hyper_util", "h2", "reqwest", "rustls", "tokio_rustls", "opentelemetry"];

/// Changes the logs while the server runs.
pub struct LogHandle {
    filter: reload::Handle<BoxedLayer<Registry>, Registry>,
    files: Vec<Arc<LogFile>>,
}

/// A log layer of any kind.
pub type BoxedLayer<S> = Box<dyn Layer<S> + Send + Sync>;

/// The layers that a log layer stands on.
pub type Filtered =
    tracing_subscriber::layer::Layered<reload::Layer<BoxedLayer<Registry>, Registry>, Registry>;

/// Starts the logs as the config says. `traces` is one more receiver of spans.
///
/// # Errors
///
/// The log config cannot be read, or a file cannot be written.
pub fn start(config: &Config, traces: Option<BoxedLayer<Filtered>>) -> anyhow::Result<LogHandle> {
    let log_config = read(config)?;
    let (filter, handle) = reload::Layer::new(filter(config, &log_config)?);
    let mut layers: Vec<BoxedLayer<Filtered>> = Vec::new();
    let mut files = Vec::new();
    for output in &log_config.outputs {
        let format = config.own.log.format.unwrap_or(output.format);
        layers.push(match &output.target {
            LogTarget::Stderr => layer(format, std::io::stderr, std::io::stderr().is_terminal()),
            LogTarget::Stdout => layer(format, std::io::stdout, std::io::stdout().is_terminal()),
            LogTarget::File { path, rotation, keep } => {
                let file = LogFile::open(path.clone(), *rotation, *keep).with_context(|| {
                    format!("the log file {} cannot be written", path.display())
                })?;
                let file = Arc::new(file);
                files.push(file.clone());
                layer(format, move || file.line(), false)
            }
        });
    }
    layers.extend(traces);
    tracing_subscriber::registry().with(filter).with(layers).init();
    for (logger, _) in &log_config.levels {
        if targets(logger).is_empty() {
            tracing::warn!(
                logger,
                "config: log_config: no part of Myelin logs under this name; its level has no effect"
            );
        }
    }
    Ok(LogHandle { filter: handle, files })
}

/// Checks the settings of logs without opening a file.
///
/// # Errors
///
/// The log config cannot be read, or a filter cannot be understood.
pub fn check(config: &Config) -> anyhow::Result<()> {
    filter(config, &read(config)?).map(drop)
}

impl LogHandle {
    /// Takes over the levels of a config that was read again, and opens log files anew.
    ///
    /// # Errors
    ///
    /// The log config cannot be read; then all stays as it is.
    pub fn reload(&self, config: &Config) -> anyhow::Result<()> {
        let log_config = read(config)?;
        self.filter.reload(filter(config, &log_config)?)?;
        for file in &self.files {
            file.reopen()?;
        }
        Ok(())
    }
}

/// The log config, or the default: a file that is not there is no reason not to start.
fn read(config: &Config) -> anyhow::Result<LogConfig> {
    match &config.log_config {
        Some(file) if file.exists() => Ok(read_log_config(file)?),
        _ => Ok(LogConfig::default()),
    }
}

fn layer<W>(format: LogFormat, writer: W, is_terminal: bool) -> BoxedLayer<Filtered>
where
    W: for<'w> tracing_subscriber::fmt::MakeWriter<'w> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(is_terminal);
    match format {
        LogFormat::Text => layer.compact().fmt_fields(PlainFields).boxed(),
        LogFormat::Json => layer.json().flatten_event(true).with_current_span(false).boxed(),
    }
}

/// Levels in order of precedence: RUST_LOG, `myelin.log.filter`, `myelin.log.level`, the log config.
fn filter(config: &Config, log_config: &LogConfig) -> anyhow::Result<BoxedLayer<Registry>> {
    let text = match (std::env::var("RUST_LOG"), &config.own.log.filter) {
        (Ok(text), _) if !text.is_empty() => text,
        (_, Some(text)) => text.clone(),
        _ => directives(config.own.log.level.unwrap_or(log_config.level), log_config),
    };
    parse_filter(&text)
        .with_context(|| format!("myelin.log.filter or RUST_LOG: {text:?} cannot be understood"))
}

/// A layer for a text of directives. Only an `EnvFilter` understands directives about spans and their fields, in
/// brackets. It costs time whenever a span is entered, that is, whenever a request is taken up, so it is made for them
/// alone.
fn parse_filter(text: &str) -> anyhow::Result<BoxedLayer<Registry>> {
    if text.contains('[') {
        return Ok(EnvFilter::try_new(text)?.boxed());
    }
    Ok(text.parse::<Targets>()?.boxed())
}

fn directives(level: Level, log_config: &LogConfig) -> String {
    let mut parts = vec![level_name(level).to_owned()];
    parts.extend(QUIET.iter().map(|name| format!("{name}={}", level_name(level.max(Level::Warn)))));
    for (logger, level) in &log_config.levels {
        parts.extend(
            targets(logger).iter().map(|target| format!("{target}={}", level_name(*level))),
        );
    }
    parts.join(",")
}

/// Our modules that do what a logger of Synapse tells about.
fn targets(logger: &str) -> Vec<String> {
    if logger.starts_with("myelin") {
        return vec![logger.replace('.', "::")];
    }
    let known: &[(&str, &[&str])] = &[
        ("synapse.storage.SQL", &["sqlx"]),
        ("synapse.storage", &["myelin_storage"]),
        ("synapse.handlers.sync", &["myelin_sync"]),
        ("synapse.handlers", &["myelin_rooms", "myelin_accounts"]),
        ("synapse.access", &["myelin_http"]),
        ("synapse.http", &["myelin_http"]),
        ("synapse.rest", &["myelin_client_api"]),
        ("synapse", &["myelin"]),
    ];
    let found = known.iter().find(|(name, _)| *name == logger);
    found
        .map(|(_, targets)| targets.iter().map(|target| (*target).to_owned()).collect())
        .unwrap_or_default()
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::Trace => "trace",
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl<'w> MakeWriter<'w> for Lines {
        type Writer = Self;

        fn make_writer(&'w self) -> Self {
            self.clone()
        }
    }

    fn logged(directives: &str) -> String {
        let lines = Lines::default();
        let (filter, _handle) = reload::Layer::new(parse_filter(directives).unwrap());
        let subscriber = tracing_subscriber::registry().with(filter).with(layer::<_>(
            LogFormat::Text,
            lines.clone(),
            false,
        ));
        tracing::subscriber::with_default(subscriber, || {
            let _span = tracing::info_span!(target: "myelin_http", "request", id = 7).entered();
            tracing::debug!(target: "myelin_rooms", "detail");
            tracing::info!(target: "myelin_rooms", "news");
            tracing::info!(target: "sqlx::query", "a query");
            tracing::warn!(target: "sqlx::query", "a slow query");
        });
        let lines = lines.0.lock().unwrap().clone();
        String::from_utf8(lines).unwrap()
    }

    #[test]
    fn directives_choose_what_is_logged() {
        for (directives, expected) in [
            ("info,sqlx=warn", &["news", "a slow query"][..]),
            ("warn,myelin_rooms=debug", &["detail", "news", "a slow query"][..]),
            ("off", &[][..]),
            ("error,myelin_http=info,[request]=info", &["news", "a query", "a slow query"][..]),
        ] {
            let text = logged(directives);
            assert_eq!(text.lines().count(), expected.len(), "{directives}: {text}");
            for (line, message) in text.lines().zip(expected) {
                assert!(line.contains(message), "{directives}: {line}");
            }
        }
        assert!(logged("info").contains("id=7"), "lines name the request");
        assert!(parse_filter("myelin=loud").is_err());
    }

    #[test]
    fn nobody_writes_a_line_of_their_own() {
        let lines = Lines::default();
        let subscriber = tracing_subscriber::registry();
        let (filter, _handle) = reload::Layer::new(parse_filter("info").unwrap());
        let layer = layer::<_>(LogFormat::Text, lines.clone(), false);
        tracing::subscriber::with_default(subscriber.with(filter).with(layer), || {
            let name = "z\nINFO a login failed \u{1b}[2J\r\u{2028}end";
            let _span = tracing::info_span!("request", user.id = %name).entered();
            tracing::info!(user.id = %name, "a login failed");
        });
        let logged = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert_eq!(logged.lines().count(), 1, "{logged}");
        assert!(!logged.contains(['\u{1b}', '\r', '\u{2028}']), "{logged}");
        assert!(logged.contains("z\\nINFO"), "{logged}");
    }
}
