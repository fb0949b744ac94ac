//! `database`: which PostgreSQL holds everything.

use myelin_model::Secret;

use super::database_args;
use crate::reader::Section;

/// Connections kept open when `cp_min` is absent.
const CONNECTIONS_MIN_DEFAULT: u32 = 5;
/// Most connections when `cp_max` is absent.
const CONNECTIONS_MAX_DEFAULT: u32 = 20;

/// The database that the server uses.
#[derive(Clone, Debug, PartialEq)]
pub enum Database {
    /// No `database` in the config: the server runs a PostgreSQL cluster of its own in its data folder.
    Embedded,
    /// `database: {name: psycopg2, args: {...}}`.
    Postgres(Box<Postgres>),
}

/// The way to reach a PostgreSQL: the `args` of libpq that Synapse's configs use.
#[derive(Clone, Debug, PartialEq)]
pub struct Postgres {
    /// `dsn`, where it is a URL: `postgres://...`. The other fields add to it. The words of one in the form of
    /// `host=... user=...` are among the other fields already.
    pub dsn: Option<Secret>,
    /// `host`: a name, an address, or the folder of a unix socket. Default: the unix socket of the system.
    pub host: Option<String>,
    /// `hostaddr`: an address that spares the look-up of `host`.
    pub hostaddr: Option<String>,
    /// `port`. Default: 5432.
    pub port: Option<u16>,
    /// `user`. Default: the name of the process's user.
    pub user: Option<String>,
    pub password: Option<Secret>,
    /// `passfile`: a file in libpq's format, for when no password is given.
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
    /// `cp_min`: connections kept open. Default: 5.
    pub connections_min: u32,
    /// `cp_max`: most connections at once. Default: 20.
    pub connections_max: u32,
}

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
    let dsn = args.inline_secret("dsn");
    let is_url = dsn.as_ref().is_some_and(|dsn| dsn.expose().contains("://"));
    let words = dsn
        .as_ref()
        .map(|dsn| database_args::parse_dsn(dsn.expose()))
        .unwrap_or_else(|| Some(Vec::new()));
    if words.is_none() {
        args.wrong_key(
            "dsn",
            "allowed: a URL (postgres://...), or words of the form key=value".to_owned(),
        );
    }
    let words = words.unwrap_or_default();
    let names: Vec<&str> = words.iter().map(|(name, _)| name.as_str()).collect();
    for name in args.keys().into_iter().chain(names) {
        database_args::check(args, name);
    }
    // What stands in a URL is read from the URL, where it is not said again.
    let word = |key: &str| {
        let mut words = words.iter().filter(|(name, _)| name == key && !is_url);
        words.next_back().map(|(_, value)| value.clone())
    };
    let text = |key: &str| args.text_or_number(key).or_else(|| word(key));
    let connections = |key: &str, default: u32| {
        args.int(key, 1..=1000).and_then(|number| u32::try_from(number).ok()).unwrap_or(default)
    };
    let connections_max = connections("cp_max", CONNECTIONS_MAX_DEFAULT);
    let modes = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];
    let modes: Vec<(&str, Option<&str>)> = modes.iter().map(|mode| (*mode, Some(*mode))).collect();
    let postgres = Postgres {
        host: text("host"),
        hostaddr: text("hostaddr"),
        port: args
            .int("port", 1..=65535)
            .and_then(|port| u16::try_from(port).ok())
            .or_else(|| word("port")?.parse().ok()),
        user: text("user"),
        password: args.inline_secret("password").or_else(|| word("password").map(Secret::new)),
        passfile: text("passfile"),
        dbname: text("dbname").or_else(|| args.text_or_number("database")),
        sslmode: args
            .choice("sslmode", &modes, None)
            .map(str::to_owned)
            .or_else(|| word("sslmode")),
        sslrootcert: text("sslrootcert"),
        sslcert: text("sslcert"),
        sslkey: text("sslkey"),
        application_name: text("application_name"),
        options: text("options"),
        connections_min: connections("cp_min", CONNECTIONS_MIN_DEFAULT).min(connections_max),
        connections_max,
        dsn: dsn.filter(|_| is_url),
    };
    check_args(args, &postgres);
    postgres
}

fn check_args(args: &Section<'_>, postgres: &Postgres) {
    for (key, value) in [("host", &postgres.host), ("hostaddr", &postgres.hostaddr)] {
        if value.as_ref().is_some_and(|value| value.contains(',')) {
            args.wrong_key(key, "several servers are not possible; name one".to_owned());
        }
    }
    if postgres.sslcert.is_some() != postgres.sslkey.is_some() {
        args.wrong_key("sslcert", "needs sslkey, and sslkey needs sslcert".to_owned());
    }
}
