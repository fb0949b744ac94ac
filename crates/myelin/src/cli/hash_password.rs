//! `myelin hash-password`, also as `hash_password`.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Parser;
use myelin_accounts::password;

/// Print the hash of a password: argon2id, as Myelin stores it. Called by the name hash_password, or with
/// --bcrypt, it prints the bcrypt hash that Synapse would, with the pepper and rounds of the config. Myelin
/// takes both.
#[derive(Parser)]
#[command(name = "hash_password")]
pub struct HashPasswordArgs {
    /// The password; asked for if it is not given. A program's arguments are seen by others on the machine.
    #[arg(short = 'p', long)]
    password: Option<String>,
    /// A config with `password_config.pepper` and `bcrypt_rounds`.
    #[arg(short = 'c', long, value_name = "FILE")]
    config: Vec<PathBuf>,
    /// Print bcrypt, as Synapse does.
    #[arg(long)]
    bcrypt: bool,
}

/// Prints the hash.
pub fn run(args: &HashPasswordArgs, is_synapse: bool) -> anyhow::Result<()> {
    let password = match &args.password {
        Some(password) => password.clone(),
        None => ask()?,
    };
    if password.is_empty() {
        bail!("Password cannot be blank.");
    }
    let (pepper, rounds) = if args.config.is_empty() {
        (String::new(), 12)
    } else {
        let sources = myelin_config::Sources {
            paths: args.config.clone(),
            ..myelin_config::Sources::default()
        };
        let config =
            myelin_config::load_part(&sources, &["password_config", "bcrypt_rounds"])?.config;
        let pepper = config.password.pepper.map(|pepper| pepper.expose().to_owned());
        (pepper.unwrap_or_default(), config.password.bcrypt_rounds)
    };
    let hash = if is_synapse || args.bcrypt {
        password::bcrypt_with_pepper(&password, &pepper, rounds)
    } else {
        password::hash_with_pepper(&password, &pepper)
    };
    println!("{}", hash?);
    Ok(())
}

fn ask() -> anyhow::Result<String> {
    let password =
        rpassword::prompt_password("Password: ").context("no terminal to ask for the password")?;
    if rpassword::prompt_password("Confirm password: ")? != password {
        bail!("Passwords do not match");
    }
    Ok(password)
}
