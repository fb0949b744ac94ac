//! The config: `homeserver.yaml` as Synapse reads it, and Myelin's own keys under `myelin:`.
//!
//! [`load`] reads files into a [`Config`] of typed sections. All that is wrong is told at once; what has no
//! effect is told as [`Warning`]s. Nothing but the binary sees this crate: it turns the sections into the
//! small settings of the others.

mod error;
mod generate;
pub mod keys;
mod reader;
mod secret;
pub mod sections;
mod source;
mod units;
mod yaml;

use std::path::PathBuf;

pub use error::{ConfigError, Problem, Warning, Weight};
pub use generate::{Generate, generate_config, generate_log_config};
pub use secret::{random_text, write_private_file};
use sections::{
    appservices::{self, AppService},
    database::{self, Database},
    listeners::{self, Listener, Tls},
    logging,
    media::{self, Media},
    outgoing::{self, Outgoing},
    own::{self, Own},
    password::{self, Password},
    ratelimits::{self, RateLimits},
    registration::{self, Registration},
    rooms::{self, Rooms},
    server::Server,
    sessions::{self, Sessions},
    signing::{self, Signing},
    turn::{self, Turn},
    users::{self, Users},
    well_known::{self, WellKnown},
};
pub use source::list_files;

/// The places from which the config is read.
#[derive(Clone, Debug)]
pub struct Sources {
    /// Files, and folders of `*.yaml` files, in order: top-level keys of later ones replace those of earlier ones.
    pub paths: Vec<PathBuf>,
    /// The folder of keys that have no path in the config. Default: the folder of the last file.
    pub config_directory: Option<PathBuf>,
    /// The folder of data that have no path in the config. Default: `data` in the config folder.
    pub data_directory: Option<PathBuf>,
    /// Whether secrets may stand in the config itself. Default: true.
    pub secrets_in_config: bool,
    /// Whether the secrets that are missing and that Synapse would make are made: `registration_shared_secret_path`
    /// and `form_secret_path`. Default: false.
    pub create_secrets: bool,
    /// Whether a signing key that is missing is made. It is the server's identity: a new one belongs to a new server,
    /// so that only who writes a new config asks for it. Default: false.
    pub create_signing_key: bool,
}

impl Default for Sources {
    fn default() -> Self {
        Sources {
            paths: Vec::new(),
            config_directory: None,
            data_directory: None,
            secrets_in_config: true,
            create_secrets: false,
            create_signing_key: false,
        }
    }
}

/// All settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// The server's name, its URL, and the settings of the process.
    pub server: Server,
    /// The sockets that it listens on.
    pub listeners: Vec<Listener>,
    /// Its TLS files, if both are given.
    pub tls: Option<Tls>,
    pub database: Database,
    /// `log_config`: the file of Python's logging configuration.
    pub log_config: Option<PathBuf>,
    /// The server's keys and secrets.
    pub signing: Signing,
    /// The rules on who may make an account.
    pub registration: Registration,
    /// The time for which sessions and tokens hold.
    pub sessions: Sessions,
    /// Login by password, and the demands on new passwords.
    pub password: Password,
    /// The rates at which things may be done.
    pub ratelimits: RateLimits,
    /// The settings of rooms, aliases and the public list.
    pub rooms: Rooms,
    /// Profiles, presence and the user directory.
    pub users: Users,
    /// Application services: bridges and bots.
    pub appservices: Vec<AppService>,
    /// The folder of media, and their sizes.
    pub media: Media,
    /// The relays for calls.
    pub turn: Turn,
    /// The addresses that requests to others may reach.
    pub outgoing: Outgoing,
    /// The documents under `/.well-known/matrix`.
    pub well_known: WellKnown,
    /// Myelin's own keys, under `myelin:`.
    pub own: Own,
}

/// A config that was read.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub config: Config,
    /// The warnings that the admin should read.
    pub warnings: Vec<Warning>,
    /// The files that were read, in order.
    pub files: Vec<PathBuf>,
}

/// Reads the config.
///
/// # Errors
///
/// Everything that is wrong, each with its file, key, value and what is allowed.
pub fn load(sources: &Sources) -> Result<Loaded, ConfigError> {
    load_if(sources, |_| true)
}

/// Reads the config for a tool that needs only some of its top-level keys: what is wrong elsewhere is passed over.
///
/// # Errors
///
/// What is wrong with these keys.
pub fn load_part(sources: &Sources, keys: &[&str]) -> Result<Loaded, ConfigError> {
    load_if(sources, |key| keys.iter().any(|wanted| key.starts_with(wanted)))
}

fn load_if(sources: &Sources, matters: impl Fn(&str) -> bool) -> Result<Loaded, ConfigError> {
    let mut warnings = Vec::new();
    let document = source::read(&sources.paths, &mut warnings)?;
    let checked = keys::check(&document);
    warnings.extend(checked.warnings);
    let reader = reader::Reader::new(&document, sources, warnings);
    reader.problems.borrow_mut().extend(checked.problems);
    let config = read(&reader.root());
    let mut problems = reader.problems.into_inner();
    problems.retain(|problem| matters(&problem.key));
    // In the order of the files, not of our reading.
    problems.sort_by_key(|problem| {
        let file = document.files.iter().position(|file| Some(file) == problem.file.as_ref());
        (file.unwrap_or(usize::MAX), problem.line)
    });
    let warnings = reader.warnings.into_inner();
    if !problems.is_empty() {
        return Err(ConfigError { problems, warnings });
    }
    Ok(Loaded { config, warnings, files: document.files.clone() })
}

fn read(root: &reader::Section<'_>) -> Config {
    let server = Server::read(root);
    let listeners = listeners::read(root);
    Config {
        tls: listeners::read_tls(root, &listeners),
        database: database::read(root),
        log_config: read_log_config_path(root),
        signing: signing::read(root, &server.server_name),
        registration: registration::read(root),
        sessions: sessions::read(root),
        password: password::read(root),
        ratelimits: ratelimits::read(root),
        rooms: rooms::read(root),
        users: users::read(root),
        appservices: appservices::read(root),
        media: media::read(root),
        turn: turn::read(root),
        outgoing: outgoing::read(root),
        well_known: well_known::read(root),
        own: own::read(root),
        server,
        listeners,
    }
}

/// A file that is not there is no reason not to start, and none to say nothing.
fn read_log_config_path(root: &reader::Section<'_>) -> Option<PathBuf> {
    let file = root.path("log_config")?;
    if !file.exists() {
        let text = format!("{} is not there; logs go to standard error", file.display());
        root.warn("log_config", text);
    }
    for text in logging::list_left_out(&file) {
        root.warn("log_config", text);
    }
    Some(file)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::keys::{KEYS, Status};

    /// Keys of the table that the code reads by other means than asking for them.
    const READ_OTHERWISE: &[&str] = &["experimental_features."];

    #[test]
    fn the_code_and_the_table_know_the_same_keys() {
        let text = "listeners: [{type: http, port: 1, resources: [{names: [client]}]}]\ndatabase: {args: {user: x}}\n\
            alias_creation_rules: [{action: allow}]\nroom_list_publication_rules: [{action: allow}]\nrc_admin_redaction: {}\n";
        let yaml::Value::Map(entries) = yaml::parse(text).unwrap().value else { panic!("no map") };
        let mut document = source::Document::default();
        document.lay_over(entries, std::path::Path::new("hs.yaml"));
        let sources = Sources::default();
        let reader = reader::Reader::new(&document, &sources, Vec::new());
        read(&reader.root());
        let asked = reader.asked.into_inner();
        let is_known =
            |key: &&String| KEYS.contains_key(key.as_str()) || key.starts_with("database.args.");
        let unknown: Vec<&String> = asked.iter().filter(|key| !is_known(key)).collect();
        assert_eq!(unknown, Vec::<&String>::new(), "read by the code, not in keys.tsv");
        let used: BTreeSet<&str> = KEYS
            .values()
            .filter(|key| key.status == Status::Used && !key.name.contains("<key>"))
            .map(|key| key.name)
            .collect();
        let unread: Vec<&&str> = used
            .iter()
            .filter(|key| {
                !asked.contains(**key) && !READ_OTHERWISE.iter().any(|start| key.starts_with(start))
            })
            .collect();
        assert_eq!(unread, Vec::<&&str>::new(), "`used` in keys.tsv, but not read by the code");
    }
}
