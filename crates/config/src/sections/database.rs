//! `database`: which PostgreSQL holds everything.

use crate::{reader::Section, secret::Secret};

/// Connections kept open when `cp_min` is absent.
const CONNECTIONS_MIN_DEFAULT: u32 = 5;
/// Most connections when `cp_max` is absent.
const CONNECTIONS_MAX_DEFAULT: u32 = 20;
/// Keys of `args` that only Python's connection pool knows.
const POOL_KEYS: &[&str] =
    &["cp_reconnect", "cp_openfun", "cp_noisy", "cp_name", "cp_good_sql", "check_same_thread"];

/// Which database.
#[derive(Clone, Debug, PartialEq)]
pub enum Database {
    /// No `database` in the config: the server runs a PostgreSQL cluster of its own in its data folder.
    Embedded,
    /// `database: {name: psycopg2, args: {...}}`.
    Postgres(Box<Postgres>),
}

/// How to reach a PostgreSQL: the `args` of libpq that Synapse's configs use.
#[derive(Clone, Debug, PartialEq)]
pub struct Postgres {
    /// `dsn`: a whole connection text, `postgres://...` or `host=... user=...`. The other fields add to it.
    pub dsn: Option<Secret>,
    /// `host`: a name, an address, or the folder of a unix socket. Default: the unix socket of the system.
    pub host: Option<String>,
    /// `hostaddr`: an address that spares the look-up of `host`.
    pub hostaddr: Option<String>,
    /// `port`. Default: 5432.
    pub port: Option<u16>,
    /// `user`. Default: the name of the process's user.
    pub user: Option<String>,
    /// `password`.
    pub password: Option<Secret>,
    /// `passfile`: a file in libpq's format.
    pub passfile: Option<String>,
    /// `dbname` (or `database`). Default: the user's name.
    pub dbname: Option<String>,
    /// `sslmode`: disable, allow, prefer (default), require, verify-ca, verify-full.
    pub sslmode: Option<String>,
    /// `sslrootcert`: PEM file of the authorities that are trusted.
    pub sslrootcert: Option<String>,
    /// `sslcert`: PEM file of the client's certificate.
    pub sslcert: Option<String>,
    /// `sslkey`: PEM file of the client's key.
    pub sslkey: Option<String>,
    /// `application_name`. Default: `myelin`.
    pub application_name: Option<String>,
    /// `options`: settings for each session, `-c name=value ...`.
    pub options: Option<String>,
    /// `connect_timeout`, in seconds.
    pub connect_timeout_s: Option<u64>,
    /// `cp_min`: connections kept open. Default: 5.
    pub connections_min: u32,
    /// `cp_max`: most connections at once. Default: 20.
    pub connections_max: u32,
}

/// Libpq's other keys: known, harmless, and without effect here.
const IDLE_KEYS: &[&str] = &[
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "tcp_user_timeout",
    "gssencmode",
    "target_session_attrs",
    "client_encoding",
    "channel_binding",
    "sslcompression",
    "sslsni",
    "krbsrvname",
    "service",
    "load_balance_hosts",
];

pub(crate) fn read(root: &Section<'_>) -> Database {
    if root.find("databases").is_some() {
        root.wrong_key(
            "databases",
            "splitting the data over several databases is not possible; give one `database`"
                .to_owned(),
        );
    }
    let section = root.section("database");
    if !section.is_present() {
        return Database::Embedded;
    }
    match section.choice("name", &[("psycopg2", "psycopg2"), ("sqlite3", "sqlite3")], "psycopg2") {
        "sqlite3" => {
            section.wrong_key(
                "name",
                "Myelin keeps its data in PostgreSQL, not in SQLite. Remove `database` from the config and Myelin \
                 runs a PostgreSQL of its own, or name one here: `name: psycopg2` with `args` of host, user, \
                 password, dbname"
                    .to_owned(),
            );
            Database::Embedded
        }
        _ => Database::Postgres(Box::new(read_args(&section.section("args")))),
    }
}

fn read_args(args: &Section<'_>) -> Postgres {
    warn_unknown(args);
    let connections = |key: &str, default: u32| {
        args.int(key, 1..=1000).and_then(|number| u32::try_from(number).ok()).unwrap_or(default)
    };
    let connections_max = connections("cp_max", CONNECTIONS_MAX_DEFAULT);
    let modes = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];
    let modes: Vec<(&str, Option<&str>)> = modes.iter().map(|mode| (*mode, Some(*mode))).collect();
    Postgres {
        dsn: args.inline_secret("dsn"),
        host: args.text("host"),
        hostaddr: args.text("hostaddr"),
        port: args.int("port", 1..=65535).and_then(|port| u16::try_from(port).ok()),
        user: args.text_or_number("user"),
        password: args.inline_secret("password"),
        passfile: args.text("passfile"),
        dbname: args.text_or_number("dbname").or_else(|| args.text_or_number("database")),
        sslmode: args.choice("sslmode", &modes, None).map(str::to_owned),
        sslrootcert: args.text("sslrootcert"),
        sslcert: args.text("sslcert"),
        sslkey: args.text("sslkey"),
        application_name: args.text("application_name"),
        options: args.text("options"),
        connect_timeout_s: args
            .int("connect_timeout", 0..=3600)
            .and_then(|seconds| u64::try_from(seconds).ok()),
        connections_min: connections("cp_min", CONNECTIONS_MIN_DEFAULT).min(connections_max),
        connections_max,
    }
}

fn warn_unknown(args: &Section<'_>) {
    const USED: &[&str] = &[
        "dsn",
        "host",
        "hostaddr",
        "port",
        "user",
        "password",
        "passfile",
        "dbname",
        "database",
        "sslmode",
        "sslrootcert",
        "sslcert",
        "sslkey",
        "application_name",
        "options",
        "connect_timeout",
        "cp_min",
        "cp_max",
    ];
    for key in args.keys() {
        if !USED.contains(&key) && !IDLE_KEYS.contains(&key) && !POOL_KEYS.contains(&key) {
            args.warn(key, crate::keys::unknown_text(key, USED.iter().copied()));
        }
    }
}
