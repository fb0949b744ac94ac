//! `myelin generate-signing-key`, also as `generate_signing_key`.

use std::path::PathBuf;

use anyhow::Context;
use clap::Parser;
use myelin_config::{sections::signing::SigningKey, write_private_file};

/// Make a signing key.
#[derive(Debug, Parser)]
#[command(name = "generate_signing_key")]
pub struct SigningKeyArgs {
    /// The file to write; a file that is there is not touched [default: standard output]
    #[arg(short = 'o', long = "output_file", alias = "output-file", value_name = "FILE")]
    output_file: Option<PathBuf>,
}

/// Prints or writes the key.
pub fn run(args: &SigningKeyArgs) -> anyhow::Result<()> {
    let line = SigningKey::generate().to_line();
    match &args.output_file {
        Some(file) => write_private_file(file, &line)
            .with_context(|| format!("{} cannot be written", file.display())),
        None => {
            print!("{line}");
            Ok(())
        }
    }
}
