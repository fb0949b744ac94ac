//! `myelin:`: the keys that Synapse does not have.

use std::{collections::BTreeMap, path::PathBuf};

use super::logging::{Level, LogFormat, parse_level};
use crate::{
    reader::{Section, absolute},
    yaml::Value,
};

/// The time that a stop waits for requests under way, in milliseconds, when `shutdown_timeout` is absent.
const SHUTDOWN_TIMEOUT_MS_DEFAULT: u64 = 8_000;

/// Myelin's own keys.
#[derive(Clone, Debug, PartialEq)]
pub struct Own {
    /// `myelin.data_directory`: where the embedded PostgreSQL keeps its data (in `postgres/` below it).
    /// Default: `data` beside the config file.
    pub data_directory: PathBuf,
    /// `myelin.shutdown_timeout`: how long a stop waits for requests under way, in milliseconds. Default: 8s.
    pub shutdown_timeout_ms: u64,
    /// `myelin.worker_threads`: threads that serve requests. Default: one per processor.
    pub worker_threads: Option<usize>,
    /// `myelin.log`: takes precedence over `log_config`.
    pub log: OwnLog,
    /// `myelin.otlp`: where traces go. Default: nowhere.
    pub otlp: Option<Otlp>,
    /// `myelin.embedded_postgres`: the private PostgreSQL that runs where no `database` is given.
    pub embedded_postgres: EmbeddedPostgres,
}

/// `myelin.log`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OwnLog {
    /// `level`: trace, debug, info, warn, error. Default: that of `log_config`, or info.
    pub level: Option<Level>,
    /// `format`: text or json. Default: that of `log_config`, or text.
    pub format: Option<LogFormat>,
    /// `filter`: levels by module in the manner of RUST_LOG (`info,myelin_sync=debug`). Stands above all others.
    pub filter: Option<String>,
}

/// `myelin.otlp`: traces over OTLP (HTTP with protobuf).
#[derive(Clone, Debug, PartialEq)]
pub struct Otlp {
    /// `endpoint`: the collector's URL, `http://localhost:4318` for instance; `/v1/traces` is added if it has no path.
    pub endpoint: String,
    /// `headers`: sent with every request, for the collector's login.
    pub headers: BTreeMap<String, String>,
    /// `sample_ratio`: share of requests that are traced, 0 to 1. Default: 1.
    pub sample_ratio: f64,
    /// `service_name`. Default: `myelin`.
    pub service_name: String,
}

/// `myelin.embedded_postgres`: the PostgreSQL that the server runs itself.
#[derive(Clone, Debug, PartialEq)]
pub struct EmbeddedPostgres {
    /// `bin_directory`: where `postgres` and `initdb` are. Default: the newest that is found on the system.
    pub bin_directory: Option<PathBuf>,
    /// `user`: whose its processes are when the server runs as root. Default: `postgres`, or else `nobody`.
    pub user: Option<String>,
    /// `shared_buffers`: PostgreSQL's own cache, in its spelling. Default: `128MB`.
    pub shared_buffers: String,
    /// `connections`: most connections the server itself uses. Default: 20.
    pub connections: u32,
}

pub(crate) fn read(root: &Section<'_>) -> Own {
    let section = root.section("myelin");
    let config_directory = root.reader.config_directory();
    let data_directory = section
        .path("data_directory")
        .or_else(|| root.reader.sources.data_directory.as_deref().map(absolute))
        .unwrap_or_else(|| config_directory.join("data"));
    Own {
        data_directory,
        shutdown_timeout_ms: section
            .duration_ms("shutdown_timeout")
            .unwrap_or(SHUTDOWN_TIMEOUT_MS_DEFAULT),
        worker_threads: section
            .int("worker_threads", 1..=1024)
            .and_then(|number| usize::try_from(number).ok()),
        log: read_log(&section.section("log")),
        otlp: read_otlp(&section.section("otlp")),
        embedded_postgres: read_embedded(&section.section("embedded_postgres")),
    }
}

fn read_log(section: &Section<'_>) -> OwnLog {
    let level = section.text("level").and_then(|text| {
        let level = parse_level(&text);
        if let (None, Some(found)) = (level, section.find("level")) {
            section.wrong(&found, "trace, debug, info, warn, error");
        }
        level
    });
    let formats = [("text", Some(LogFormat::Text)), ("json", Some(LogFormat::Json))];
    OwnLog {
        level,
        format: section.choice("format", &formats, None),
        filter: section.text("filter"),
    }
}

fn read_otlp(section: &Section<'_>) -> Option<Otlp> {
    let endpoint = section.text("endpoint");
    let sample_ratio = section.number("sample_ratio").unwrap_or(1.0);
    if sample_ratio > 1.0
        && let Some(found) = section.find("sample_ratio")
    {
        section.wrong(&found, "a number from 0 to 1");
    }
    let mut headers = BTreeMap::new();
    if let Some(found) = section.find("headers") {
        match &found.node.value {
            Value::Map(entries) => {
                for (name, node) in entries {
                    match &node.value {
                        Value::String(text) => _ = headers.insert(name.clone(), text.clone()),
                        _ => section.wrong_text(&found, format!("{name} must be a text")),
                    }
                }
            }
            _ => section.wrong(&found, "a map of names and texts"),
        }
    }
    let service_name = section.text("service_name").unwrap_or_else(|| "myelin".to_owned());
    if section.is_present() && endpoint.is_none() {
        section.wrong_key("endpoint", "is missing; allowed: the collector's URL".to_owned());
    }
    let endpoint = endpoint?;
    if !endpoint.starts_with("http://") && !endpoint.starts_with("https://") {
        section.wrong_key(
            "endpoint",
            format!("{endpoint:?} is no URL; allowed: one with http:// or https://"),
        );
    }
    Some(Otlp { endpoint, headers, sample_ratio, service_name })
}

fn read_embedded(section: &Section<'_>) -> EmbeddedPostgres {
    const CONNECTIONS_DEFAULT: u32 = 20;
    EmbeddedPostgres {
        bin_directory: section.path("bin_directory"),
        user: section.text("user"),
        shared_buffers: section.text("shared_buffers").unwrap_or_else(|| "128MB".to_owned()),
        connections: section
            .int("connections", 4..=500)
            .and_then(|number| u32::try_from(number).ok())
            .unwrap_or(CONNECTIONS_DEFAULT),
    }
}
