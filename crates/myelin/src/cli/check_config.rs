//! `myelin check-config`: what is wrong with a config, without a start.

use anyhow::anyhow;
use clap::Args;
use myelin_config::Warning;

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
        tell(&error.warnings);
        let count = error.problems.len();
        anyhow!("{count} problem{} in the config:\n{error}", if count == 1 { "" } else { "s" })
    })?;
    tell(&loaded.warnings);
    Prepared::new(&loaded.config)?;
    for file in &loaded.files {
        println!("read {}", file.display());
    }
    println!("The config is right: server {}.", loaded.config.server.server_name);
    Ok(())
}

fn tell(warnings: &[Warning]) {
    for warning in warnings {
        println!("{}", warning.with_weight());
    }
}
