//! `log_config`: Python's logging configuration, as far as it says where logs go, how they look and from
//! which level on.

use std::path::PathBuf;

use crate::{
    error::ConfigError,
    source,
    yaml::{self, Node, Value},
};

/// Levels of Python's logging, from loud to quiet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// `NOTSET` and anything below `DEBUG`: all that is logged.
    Trace,
    Debug,
    Info,
    /// `WARNING`.
    Warn,
    /// `ERROR` and `CRITICAL`.
    Error,
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text for people.
    Text,
    /// One JSON object a line, for machines.
    Json,
}

/// The place where log lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogTarget {
    /// Standard error.
    Stderr,
    /// Standard output.
    Stdout,
    /// A file, with the rotation of its handler.
    File {
        /// The path of the file.
        path: PathBuf,
        /// The time or size at which a new file is begun.
        rotation: Rotation,
        /// The number of old files that are kept; 0 keeps all of them.
        keep: u32,
    },
}

/// The time or size at which a new log file is begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// Never; something else may move the file away (it is opened again on SIGHUP).
    Never,
    /// A new file begins at midnight (UTC).
    Daily,
    /// A new file begins when the old one has at least this many bytes.
    SizeBytes(u64),
}

/// One place that logs go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogOutput {
    /// The place where its lines go.
    pub target: LogTarget,
    /// The form of its lines.
    pub format: LogFormat,
}

/// The contents of a log config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// The level of all that `levels` does not name. Default: INFO.
    pub level: Level,
    /// Levels by logger: Synapse's names (`synapse.storage`) and Myelin's own (`myelin_storage`).
    pub levels: Vec<(String, Level)>,
    /// The outputs of logs. Default: standard error, as text.
    pub outputs: Vec<LogOutput>,
}

impl Default for LogConfig {
    fn default() -> Self {
        LogConfig {
            level: Level::Info,
            levels: Vec::new(),
            outputs: vec![LogOutput { target: LogTarget::Stderr, format: LogFormat::Text }],
        }
    }
}

/// Reads a log config file.
///
/// # Errors
///
/// The file cannot be read or is not YAML. What it says and cannot be followed is left out: see `list_left_out`.
pub fn read_log_config(file: &std::path::Path) -> Result<LogConfig, ConfigError> {
    read(file).map(|(config, _)| config)
}

/// The settings of a log config file that cannot be followed, each with its line and key. There are none if the file
/// cannot be read: that is told when it is needed.
pub(crate) fn list_left_out(file: &std::path::Path) -> Vec<String> {
    let left_out = read(file).map(|(_, left_out)| left_out).unwrap_or_default();
    let text = |(line, key, text): (usize, String, &str)| {
        format!("{}:{line}: {key}: {text}", file.display())
    };
    left_out.into_iter().map(text).collect()
}

/// The line, the key and the reason of each thing that cannot be followed.
type LeftOut = Vec<(usize, String, &'static str)>;

fn read(file: &std::path::Path) -> Result<(LogConfig, LeftOut), ConfigError> {
    let text = source::read_text(file)?;
    let node = yaml::parse(&text).map_err(|error| crate::Problem {
        file: Some(file.to_owned()),
        line: error.line,
        key: String::new(),
        text: format!("not valid YAML: {}", error.text),
    })?;
    let mut left_out = Vec::new();
    let config = understand(&node, &mut left_out);
    Ok((config, left_out))
}

pub(crate) fn parse_level(text: &str) -> Option<Level> {
    match text.to_ascii_uppercase().as_str() {
        "NOTSET" | "TRACE" | "0" | "5" => Some(Level::Trace),
        "DEBUG" | "10" => Some(Level::Debug),
        "INFO" | "20" => Some(Level::Info),
        "WARN" | "WARNING" | "30" => Some(Level::Warn),
        "ERROR" | "40" | "CRITICAL" | "FATAL" | "50" => Some(Level::Error),
        _ => None,
    }
}

fn level_of(node: Option<&Node>, key: &str, left_out: &mut LeftOut) -> Option<Level> {
    let node = node?.get("level")?;
    let level = match &node.value {
        Value::String(text) => parse_level(text),
        Value::Int(number) => parse_level(&number.to_string()),
        _ => None,
    };
    if level.is_none() {
        let text = "no level that is known; allowed: DEBUG, INFO, WARNING, ERROR, CRITICAL";
        left_out.push((node.line, format!("{key}.level"), text));
    }
    level
}

fn text_of<'a>(node: &'a Node, key: &str) -> Option<&'a str> {
    match &node.get(key)?.value {
        Value::String(text) => Some(text),
        _ => None,
    }
}

fn understand(node: &Node, left_out: &mut LeftOut) -> LogConfig {
    let root = node.get("root");
    let mut levels = Vec::new();
    if let Some(Value::Map(loggers)) = node.get("loggers").map(|loggers| &loggers.value) {
        for (name, logger) in loggers {
            let key = format!("loggers.{name}");
            let level = level_of(Some(logger), &key, left_out);
            levels.extend(level.map(|level| (name.clone(), level)));
            let has_handlers =
                |node: &&Node| matches!(&node.value, Value::List(names) if !names.is_empty());
            if let Some(handlers) = logger.get("handlers").filter(has_handlers) {
                let text =
                    "a logger has no handlers of its own here; its lines go to those of `root`";
                left_out.push((handlers.line, format!("{key}.handlers"), text));
            }
        }
    }
    let mut outputs = Vec::new();
    if let Some(Value::List(names)) =
        root.and_then(|root| root.get("handlers")).map(|names| &names.value)
    {
        for name in names {
            if let Value::String(name) = &name.value {
                outputs.extend(output_of(node, name, 0, left_out));
            }
        }
    }
    outputs.dedup();
    if outputs.is_empty() {
        outputs = LogConfig::default().outputs;
    }
    let level = level_of(root, "root", left_out).unwrap_or(Level::Info);
    LogConfig { level, levels, outputs }
}

/// The output of a handler; one that only buffers stands for the one it buffers for.
fn output_of(config: &Node, name: &str, depth: usize, left_out: &mut LeftOut) -> Option<LogOutput> {
    const BUFFERS_MAX: usize = 4;
    let key = format!("handlers.{name}");
    let Some(handler) = config.get("handlers").and_then(|handlers| handlers.get(name)) else {
        left_out.push((config.line, key, "it is named, and it is not there"));
        return None;
    };
    let class = text_of(handler, "class").unwrap_or("logging.StreamHandler");
    if let Some(behind) = text_of(handler, "target") {
        return (depth < BUFFERS_MAX).then(|| output_of(config, behind, depth + 1, left_out))?;
    }
    if let Some(level) = handler.get("level") {
        let text = "a handler has no level of its own here; those of `root` and `loggers` hold";
        left_out.push((level.line, format!("{key}.level"), text));
    }
    let format = match text_of(handler, "formatter")
        .and_then(|formatter| config.get("formatters")?.get(formatter))
    {
        Some(formatter) if formatter.to_json().to_string().contains("Json") => LogFormat::Json,
        _ => LogFormat::Text,
    };
    let target = match text_of(handler, "filename") {
        Some(file) => file_target(handler, class, file),
        None if text_of(handler, "stream").is_some_and(|stream| stream.ends_with("stdout")) => {
            LogTarget::Stdout
        }
        None if class.ends_with("StreamHandler") => LogTarget::Stderr,
        None => {
            let text = "no class of handler that is known; nothing is logged there";
            left_out.push((handler.line, format!("{key}.class"), text));
            return None;
        }
    };
    Some(LogOutput { target, format })
}

fn file_target(handler: &Node, class: &str, file: &str) -> LogTarget {
    let number = |key: &str| match handler.get(key).map(|node| &node.value) {
        Some(Value::Int(number)) => u64::try_from(*number).unwrap_or(0),
        _ => 0,
    };
    let rotation = if class.ends_with("TimedRotatingFileHandler") {
        Rotation::Daily
    } else if class.ends_with("RotatingFileHandler") && number("maxBytes") > 0 {
        Rotation::SizeBytes(number("maxBytes"))
    } else {
        Rotation::Never
    };
    let keep = u32::try_from(number("backupCount")).unwrap_or(0);
    // As in Python: with nothing to move it to, a file grows on.
    let rotation = match rotation {
        Rotation::SizeBytes(_) if keep == 0 => Rotation::Never,
        rotation => rotation,
    };
    LogTarget::File { path: crate::reader::absolute(std::path::Path::new(file)), rotation, keep }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn synapses_default_logs_to_a_file_through_a_buffer() {
        let text = "version: 1\nformatters:\n  precise: {format: '%(message)s'}\nhandlers:\n  file:\n    class: \
            logging.handlers.TimedRotatingFileHandler\n    formatter: precise\n    filename: /var/log/hs.log\n    \
            backupCount: 3\n  buffer: {class: synapse.logging.handlers.PeriodicallyFlushingMemoryHandler, target: \
            file}\nloggers:\n  synapse.storage.SQL: {level: WARNING}\nroot:\n  level: DEBUG\n  handlers: [buffer]\n";
        let config = understand(&yaml::parse(text).unwrap(), &mut vec![]);
        assert_eq!(config.level, Level::Debug);
        assert_eq!(config.levels, vec![("synapse.storage.SQL".to_owned(), Level::Warn)]);
        let target =
            LogTarget::File { path: "/var/log/hs.log".into(), rotation: Rotation::Daily, keep: 3 };
        assert_eq!(config.outputs, vec![LogOutput { target, format: LogFormat::Text }]);
    }

    #[test]
    fn json_to_standard_output() {
        let text = "formatters:\n  structured: {class: synapse.logging.TerseJsonFormatter}\nhandlers:\n  console: \
            {class: logging.StreamHandler, formatter: structured, stream: ext://sys.stdout}\nroot: {level: INFO, \
            handlers: [console]}\n";
        let config = understand(&yaml::parse(text).unwrap(), &mut vec![]);
        assert_eq!(
            config.outputs,
            vec![LogOutput { target: LogTarget::Stdout, format: LogFormat::Json }]
        );
    }

    #[test]
    fn what_cannot_be_followed_is_told() {
        let text = "handlers:\n  syslog: {class: logging.handlers.SysLogHandler, level: ERROR}\nloggers:\n  x: {level: \
            LOUD, handlers: [syslog]}\n  y: {level: DEBUG, handlers: []}\nroot: {handlers: [syslog, gone]}\n";
        let mut left_out = Vec::new();
        let config = understand(&yaml::parse(text).unwrap(), &mut left_out);
        assert_eq!(config.outputs, LogConfig::default().outputs);
        let told: Vec<_> = left_out.iter().map(|(line, key, _)| (*line, key.as_str())).collect();
        assert_eq!(
            told,
            [
                (4, "loggers.x.level"),
                (4, "loggers.x.handlers"),
                (2, "handlers.syslog.level"),
                (2, "handlers.syslog.class"),
                (1, "handlers.gone"),
            ]
        );
    }
}
