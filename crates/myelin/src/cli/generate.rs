//! `myelin generate`: a new homeserver.yaml, log config and signing key, as Synapse's `--generate-config` does.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use myelin_config::{
    Generate, Sources, generate_config, generate_log_config, sections, write_private_file,
};

const AFTER_HELP: &str = "\
Example: a server whose users are called @alice:example.org, with everything below /srv/matrix:
  myelin generate --server-name example.org --report-stats no \\
    --config /srv/matrix/homeserver.yaml --data-directory /srv/matrix/data

It writes homeserver.yaml, example.org.log.config and example.org.signing.key. The key is the identity of the server: \
keep a copy of it. Clients are served at http://localhost:8008, for a reverse proxy that speaks TLS for them \
(--open-private-ports: at every address of this machine). The data are kept in a PostgreSQL that Myelin runs by itself, \
below the folder of data, unless `database` names another.

Then:
  myelin check-config --config /srv/matrix/homeserver.yaml
  myelin serve --config /srv/matrix/homeserver.yaml
  myelin register-user --config /srv/matrix/homeserver.yaml -u alice --admin";

/// Arguments of `generate`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct GenerateArgs {
    /// The part of user ids after the colon: your domain, such as example.org. Needed for a new config. It can never be
    /// changed.
    #[arg(short = 'H', long, value_name = "NAME")]
    pub server_name: Option<String>,
    /// Needed: whether statistics are reported (Myelin reports nothing; Synapse asks for an answer, so it is written down).
    #[arg(long, value_name = "yes|no", hide_possible_values = true)]
    pub report_stats: Option<YesNo>,
    /// The file to write. One that is there is kept, and only what is missing beside it is written.
    #[arg(
        short = 'c',
        long = "config",
        alias = "config-path",
        value_name = "FILE",
        default_value = "homeserver.yaml"
    )]
    pub config: Vec<PathBuf>,
    /// The folder of the log config and the signing key [default: the folder of the config file]
    #[arg(long, alias = "keys-directory", value_name = "FOLDER")]
    pub config_directory: Option<PathBuf>,
    /// The folder of data: the embedded database and media [default: the working directory]
    #[arg(long, value_name = "FOLDER")]
    pub data_directory: Option<PathBuf>,
    /// Listen on every address, not on this machine's own only.
    #[arg(long)]
    pub open_private_ports: bool,
    /// Switch metrics on, with a listener on port 19090.
    #[arg(long)]
    pub enable_metrics: bool,
}

/// `yes` or `no`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum YesNo {
    Yes,
    No,
}

/// Writes the files that are not there.
pub fn run(args: &GenerateArgs) -> anyhow::Result<()> {
    let Some(report_stats) = args.report_stats else {
        let name = args.server_name.as_deref().unwrap_or("example.org");
        bail!(
            "please say --report-stats yes or --report-stats no (Myelin reports nothing either way), as in\n  \
             myelin generate --server-name {name} --report-stats no"
        );
    };
    let [config] = args.config.as_slice() else { bail!("name one config file (-c FILE)") };
    if config.is_dir() {
        bail!(
            "{} is a folder; name the file to write (-c {}/homeserver.yaml)",
            config.display(),
            config.display()
        );
    }
    let config = absolute(config)?;
    let config_directory = match &args.config_directory {
        Some(directory) => absolute(directory)?,
        None => config.parent().context("the config file has no folder")?.to_owned(),
    };
    std::fs::create_dir_all(&config_directory)
        .with_context(|| format!("{} cannot be made", config_directory.display()))?;
    if config.exists() {
        println!(
            "Config file {} already exists. Generating any missing config files.",
            config.display()
        );
    } else {
        write_config(args, &config, &config_directory, report_stats == YesNo::Yes)?;
    }
    let sources = Sources {
        paths: vec![config.clone()],
        config_directory: Some(config_directory),
        create_secrets: true,
        create_signing_key: true,
        ..Sources::default()
    };
    write_missing_log_config(&sources)?;
    let loaded = myelin_config::load(&sources)?;
    if let Some(file) = loaded.config.signing.created {
        println!("Generating signing key file {}", file.display());
    }
    println!("Start the server with:\n  myelin serve --config {}", config.display());
    Ok(())
}

fn write_config(
    args: &GenerateArgs,
    config: &Path,
    config_directory: &Path,
    report_stats: bool,
) -> anyhow::Result<()> {
    let Some(server_name) = &args.server_name else {
        bail!(
            "please name the server, as in\n  myelin generate --server-name example.org --report-stats no\nIt is the part \
             of user ids after the colon, and can never be changed"
        );
    };
    if !sections::server::is_server_name(server_name) {
        bail!(
            "{server_name:?} is no server name; allowed: a host name or address, such as example.org or localhost"
        );
    }
    let data_directory = match &args.data_directory {
        Some(directory) => absolute(directory)?,
        None => std::env::current_dir()?,
    };
    println!("Generating config file {}", config.display());
    let text = generate_config(&Generate {
        server_name: server_name.clone(),
        config_directory: config_directory.to_owned(),
        data_directory,
        report_stats,
        open_private_ports: args.open_private_ports,
        enable_metrics: args.enable_metrics,
    });
    write_private_file(config, &text)
        .with_context(|| format!("{} cannot be written", config.display()))?;
    println!(
        "A config file has been generated in {} for server name {server_name}. Please review this file and customise \
         it to your needs.",
        config.display()
    );
    Ok(())
}

/// Writes the log config that the config names, if it is not there.
pub fn write_missing_log_config(sources: &Sources) -> anyhow::Result<()> {
    let loaded = myelin_config::load_part(sources, &["log_config"])?;
    let Some(file) = loaded.config.log_config else { return Ok(()) };
    if file.exists() {
        return Ok(());
    }
    match write_private_file(&file, &generate_log_config()) {
        Ok(()) => println!("Generating log config file {}", file.display()),
        // The folder may be read-only: the server starts with the default instead.
        Err(error) => eprintln!("log config {} cannot be written: {error}", file.display()),
    }
    Ok(())
}

fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("{} is no path", path.display()))
}
