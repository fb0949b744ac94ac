//! The command line: Myelin's own commands, and Synapse's spelling of them.

mod check_config;
mod generate;
mod hash_password;
mod register_user;
mod signing_key;
mod socket_client;
mod synapse;

use std::{ffi::OsString, path::Path, process::ExitCode};

use clap::{Args, Parser, Subcommand};

/// Myelin, a Matrix homeserver.
#[derive(Parser)]
#[command(name = "myelin", version, about, long_about = LONG_ABOUT, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const LONG_ABOUT: &str =
    "Myelin, a Matrix homeserver that reads Synapse's homeserver.yaml and takes its place.";

const AFTER_HELP: &str = "\
First steps:
  myelin generate --server-name example.org --report-stats no   # writes homeserver.yaml, log config, signing key
  myelin serve --config homeserver.yaml                         # starts; without `database` in the config it runs
                                                                # a PostgreSQL of its own
  myelin register-user --config homeserver.yaml -u alice --admin

Called as Synapse is (`myelin -c homeserver.yaml`, `myelin --generate-config -H example.org -c homeserver.yaml \
--report-stats=no`) it does the same; `myelin synapse --help` lists these flags. It also answers to the names \
register_new_matrix_user, hash_password and generate_signing_key.";

#[derive(Subcommand)]
enum Command {
    /// Start the server.
    Serve(ServeArgs),
    /// Write a new homeserver.yaml, log config and signing key.
    Generate(generate::GenerateArgs),
    /// Make an account on a running server (register_new_matrix_user).
    RegisterUser(register_user::RegisterUserArgs),
    /// Print the hash of a password.
    HashPassword(hash_password::HashPasswordArgs),
    /// Print a new signing key, or write it to a file.
    GenerateSigningKey(signing_key::SigningKeyArgs),
    /// Read the config and say what is wrong with it, without starting.
    CheckConfig(check_config::CheckConfigArgs),
    /// Synapse's command line: what `myelin -c FILE` means.
    Synapse(synapse::SynapseArgs),
}

/// The places from which the config is read.
#[derive(Debug, Args)]
struct ConfigArgs {
    /// A config file, or a folder of *.yaml files. May be given several times: top-level keys of later files
    /// replace those of earlier ones.
    #[arg(
        short = 'c',
        long = "config",
        alias = "config-path",
        value_name = "FILE",
        required = true
    )]
    config: Vec<std::path::PathBuf>,
    /// The folder of keys that have no path in the config [default: the folder of the last config file]
    #[arg(long, alias = "config-directory", value_name = "FOLDER")]
    keys_directory: Option<std::path::PathBuf>,
    /// Refuse secrets that stand in the config itself instead of a file of their own.
    #[arg(long)]
    no_secrets_in_config: bool,
}

impl ConfigArgs {
    fn sources(&self) -> myelin_config::Sources {
        myelin_config::Sources {
            paths: self.config.clone(),
            config_directory: self.keys_directory.clone(),
            secrets_in_config: !self.no_secrets_in_config,
            ..myelin_config::Sources::default()
        }
    }
}

#[derive(Debug, Args)]
struct ServeArgs {
    #[command(flatten)]
    config: ConfigArgs,
}

/// Runs what the arguments ask for.
pub fn run(args: Vec<OsString>) -> ExitCode {
    let name =
        args.first().and_then(|name| Path::new(name).file_name()).and_then(|name| name.to_str());
    let result = match name {
        Some("register_new_matrix_user") => {
            register_user::run(&register_user::RegisterUserArgs::parse_from(args))
        }
        Some("hash_password") => {
            hash_password::run(&hash_password::HashPasswordArgs::parse_from(args), true)
        }
        Some("generate_signing_key") => {
            signing_key::run(&signing_key::SigningKeyArgs::parse_from(args))
        }
        Some("synapse_homeserver") => synapse::run(&synapse::SynapseArgs::parse_from(args)),
        _ if is_synapse_style(&args) => synapse::run(&synapse::SynapseArgs::parse_from(args)),
        _ => match Cli::parse_from(args).command {
            Command::Serve(args) => crate::serve::serve(&args.config.sources()),
            Command::Generate(args) => generate::run(&args),
            Command::RegisterUser(args) => register_user::run(&args),
            Command::HashPassword(args) => hash_password::run(&args, false),
            Command::GenerateSigningKey(args) => signing_key::run(&args),
            Command::CheckConfig(args) => check_config::run(&args),
            Command::Synapse(args) => synapse::run(&args),
        },
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("myelin: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Synapse's command line begins with a flag; ours with a command (or asks for help).
fn is_synapse_style(args: &[OsString]) -> bool {
    let first = args.get(1).and_then(|arg| arg.to_str());
    first.is_some_and(|first| {
        first.starts_with('-') && !["-h", "--help", "-V", "--version"].contains(&first)
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
        register_user::RegisterUserArgs::command().debug_assert();
        hash_password::HashPasswordArgs::command().debug_assert();
        signing_key::SigningKeyArgs::command().debug_assert();
        synapse::SynapseArgs::command().debug_assert();
    }

    #[test]
    fn flags_first_is_synapses_way() {
        let args = |text: &str| text.split(' ').map(OsString::from).collect::<Vec<_>>();
        assert!(is_synapse_style(&args("myelin -c homeserver.yaml")));
        assert!(is_synapse_style(&args("myelin --generate-config -H a")));
        assert!(!is_synapse_style(&args("myelin serve -c homeserver.yaml")));
        assert!(!is_synapse_style(&args("myelin --help")));
        assert!(!is_synapse_style(&args("myelin")));
    }
}
