//! Synapse's command line: `-c FILE`, `--generate-config` and the rest.

use std::path::PathBuf;

use anyhow::bail;
use clap::Parser;

use super::generate::{self, GenerateArgs, YesNo};

/// The flags of `python -m synapse.app.homeserver`.
#[derive(Debug, Parser)]
#[command(name = "synapse_homeserver", version)]
pub struct SynapseArgs {
    /// A config file, or a folder of *.yaml files; may be given several times.
    #[arg(short = 'c', long = "config-path", alias = "config", value_name = "FILE")]
    config_path: Vec<PathBuf>,
    /// Refuse secrets that stand in the config itself.
    #[arg(long)]
    no_secrets_in_config: bool,
    /// Write a config file, then exit.
    #[arg(long, conflicts_with_all = ["generate_missing_configs", "generate_missing_and_run"])]
    generate_config: bool,
    /// Write other files that are missing (log config, signing key), then exit.
    #[arg(long, alias = "generate-keys", conflicts_with = "generate_missing_and_run")]
    generate_missing_configs: bool,
    /// Write other files that are missing (log config, signing key), then run.
    #[arg(long)]
    generate_missing_and_run: bool,
    /// The server name to write a config for.
    #[arg(short = 'H', long)]
    server_name: Option<String>,
    /// Whether the new config reports statistics (Myelin reports nothing, but Synapse asks for an answer).
    #[arg(long, value_name = "yes|no")]
    report_stats: Option<YesNo>,
    /// The folder of the log config and the signing key [default: the folder of the last config file]
    #[arg(long, alias = "keys-directory", value_name = "FOLDER")]
    config_directory: Option<PathBuf>,
    /// The folder of data [default: the working directory]
    #[arg(long, value_name = "FOLDER")]
    data_directory: Option<PathBuf>,
    /// Let the new config listen on every address.
    #[arg(long)]
    open_private_ports: bool,
    /// Switch metrics on in the new config, with a listener on port 19090.
    #[arg(long)]
    enable_metrics: bool,
    /// Refused: run it under systemd or with `&` instead.
    #[arg(short = 'D', long)]
    daemonize: bool,
    /// No effect.
    #[arg(long)]
    print_pidfile: bool,
    /// Refused: there is no Python console.
    #[arg(long, value_name = "PORT")]
    manhole: Option<u16>,
    /// No effect: output is never redirected.
    #[arg(short = 'n', long)]
    no_redirect_stdio: bool,
    /// Refused: Myelin keeps nothing in SQLite.
    #[arg(short = 'd', long, value_name = "FILE")]
    database_path: Option<PathBuf>,
    /// Refused, as in Synapse: use `log_config`.
    #[arg(short = 'f', long, hide = true)]
    log_file: Option<PathBuf>,
    /// Refused: set `enable_registration` in the config.
    #[arg(long)]
    enable_registration: bool,
}

impl SynapseArgs {
    /// Flags that ask for something that does not happen are refused, not passed over in silence.
    fn check(&self) -> anyhow::Result<()> {
        if self.config_path.is_empty() {
            bail!(
                "no config file given (-c FILE). To write one:\n  \
                 myelin generate --server-name example.org --report-stats no -c homeserver.yaml"
            );
        }
        let refused = [
            (
                self.daemonize,
                "-D/--daemonize: Myelin stays in the foreground; run it under systemd (config/myelin.service)",
            ),
            (self.manhole.is_some(), "--manhole: there is no Python console"),
            (
                self.database_path.is_some(),
                "-d/--database-path: Myelin keeps its data in PostgreSQL; see `database` in the config",
            ),
            (self.log_file.is_some(), "-f/--log-file: name a log_config in the config"),
            (
                self.enable_registration,
                "--enable-registration: set `enable_registration` in the config",
            ),
        ];
        match refused.iter().find(|(is_given, _)| *is_given) {
            Some((_, text)) => bail!("{text}"),
            None => Ok(()),
        }
    }
}

/// Runs Synapse's command.
pub fn run(args: &SynapseArgs) -> anyhow::Result<()> {
    args.check()?;
    if args.generate_config {
        return generate::run(&GenerateArgs {
            server_name: args.server_name.clone(),
            report_stats: args.report_stats,
            config: args.config_path.clone(),
            config_directory: args.config_directory.clone(),
            data_directory: args.data_directory.clone(),
            open_private_ports: args.open_private_ports,
            enable_metrics: args.enable_metrics,
        });
    }
    let sources = myelin_config::Sources {
        paths: args.config_path.clone(),
        config_directory: args.config_directory.clone(),
        data_directory: args.data_directory.clone(),
        secrets_in_config: !args.no_secrets_in_config,
        create_secrets: true,
        create_signing_key: args.generate_missing_configs || args.generate_missing_and_run,
    };
    generate::write_missing_log_config(&sources)?;
    if args.generate_missing_configs {
        // Reading the config makes the signing key that is missing.
        let loaded = myelin_config::load(&sources)?;
        if let Some(file) = loaded.config.signing.created {
            println!("Generating signing key file {}", file.display());
        }
        return Ok(());
    }
    crate::serve::serve(&sources)
}
