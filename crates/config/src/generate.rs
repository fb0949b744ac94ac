//! The text of a new config, as `--generate-config` of Synapse writes it.

use std::{fmt::Write, path::PathBuf};

use crate::secret::random_text;

/// The contents of a new config.
#[derive(Clone, Debug)]
pub struct Generate {
    pub server_name: String,
    /// Folder of the log config and the signing key, absolute.
    pub config_directory: PathBuf,
    /// Folder of the data, absolute.
    pub data_directory: PathBuf,
    pub report_stats: bool,
    /// Listen on every address instead of this machine's own only.
    pub open_private_ports: bool,
    /// Add a listener for metrics on port 19090.
    pub enable_metrics: bool,
}

/// Port of the metrics listener in a new config.
const METRICS_PORT: u16 = 19090;

/// The text of `homeserver.yaml`.
pub fn generate_config(wish: &Generate) -> String {
    let mut text = String::new();
    let quote = |text: &str| serde_json::Value::from(text).to_string();
    let name = &wish.server_name;
    let config = |file: String| quote(&wish.config_directory.join(file).display().to_string());
    let bind =
        if wish.open_private_ports { "" } else { "    bind_addresses: ['::1', '127.0.0.1']\n" };
    text += "# Configuration file for Myelin. Synapse's keys have Synapse's meaning; Myelin's own stand below `myelin:`.\n";
    text += "# Every supported key is described in config/homeserver.yaml of Myelin.\n";
    _ = writeln!(text, "server_name: {}", quote(name));
    let pid_file = wish.data_directory.join("homeserver.pid");
    _ = writeln!(text, "pid_file: {}", quote(&pid_file.display().to_string()));
    text += "# For a reverse proxy that speaks TLS with clients; other servers are not spoken to yet.\n";
    text += "listeners:\n  - port: 8008\n";
    text += bind;
    text += "    tls: false\n    type: http\n    x_forwarded: true\n    resources:\n      - names: [client]\n        compress: false\n";
    if wish.enable_metrics {
        _ = writeln!(text, "  - port: {METRICS_PORT}");
        text += bind;
        text += "    tls: false\n    type: metrics\n";
    }
    text += "# No `database`: Myelin runs a PostgreSQL of its own below myelin.data_directory. To use another one:\n";
    text += "# database:\n#   name: psycopg2\n#   args: {host: localhost, user: myelin, password: secret, dbname: myelin}\n";
    _ = writeln!(text, "log_config: {}", config(format!("{name}.log.config")));
    _ = writeln!(text, "registration_shared_secret: {}", quote(&random_text(50)));
    _ = writeln!(text, "report_stats: {}", wish.report_stats);
    _ = writeln!(text, "signing_key_path: {}", config(format!("{name}.signing.key")));
    text += "trusted_key_servers:\n  - server_name: \"matrix.org\"\n";
    text += "# Myelin keeps the content of redacted events for good yet, where Synapse deletes it after 7 days.\n";
    text += "redaction_retention_period: null\n";
    if wish.enable_metrics {
        text += "enable_metrics: true\n";
    }
    _ = writeln!(
        text,
        "myelin:\n  data_directory: {}",
        quote(&wish.data_directory.display().to_string())
    );
    text += "\n\n# vim:ft=yaml\n";
    text
}

/// The text of a new log config: Python's format, lines for people on standard error.
pub fn generate_log_config() -> String {
    "# Log configuration: Python's logging dictionary, of which Myelin follows levels, handlers and formatters.\n\
     # For JSON lines: `class: synapse.logging.TerseJsonFormatter` as the formatter.\n\
     # For a file: a handler with `class: logging.handlers.TimedRotatingFileHandler`, `filename`, `backupCount`.\n\
     version: 1\n\n\
     formatters:\n  precise:\n    format: '%(asctime)s - %(name)s - %(levelname)s - %(request)s - %(message)s'\n\n\
     handlers:\n  console:\n    class: logging.StreamHandler\n    formatter: precise\n\n\
     loggers:\n  # Levels by module: NOTSET, DEBUG, INFO, WARNING, ERROR.\n  myelin_storage:\n    level: INFO\n\n\
     root:\n  level: INFO\n  handlers: [console]\n\n\
     disable_existing_loggers: false\n"
        .to_owned()
}
