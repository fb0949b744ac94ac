//! `myelin check-config`: what is wrong with a config, without a start.

use anyhow::anyhow;
use clap::Args;
use myelin_config::Weight;

use crate::serve::Prepared;

/// Arguments of `check-config`.
#[derive(Debug, Args)]
pub struct CheckConfigArgs {
    #[command(flatten)]
    config: super::ConfigArgs,
}

/// Reads the config and tells all that is wrong or has no effect.
pub fn run(args: &CheckConfigArgs) -> anyhow::Result<()> {
    let loaded = myelin_config::load(&args.config.sources()).map_err(|error| {
        let count = error.problems.len();
        anyhow!("{count} problem{} in the config:\n{error}", if count == 1 { "" } else { "s" })
    })?;
    for warning in &loaded.warnings {
        let word = if warning.weight == Weight::Warn { "warning" } else { "note" };
        println!("{word}: {warning}");
    }
    Prepared::new(&loaded.config)?;
    for file in &loaded.files {
        println!("read {}", file.display());
    }
    println!("The config is right: server {}.", loaded.config.server.server_name);
    Ok(())
}
