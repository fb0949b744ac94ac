//! `report`: one page with tables and plots from the results of one or more runs.

mod aims;
mod page;
mod plots;
mod results;

use std::{fs, path::PathBuf};

use anyhow::Context as _;

use self::results::Results;

/// The files to read and write.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Files of JSON lines. Rounds of the same scenario and target are put together.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// The folder to write to: `report.md` and plots.
    #[arg(long, default_value = "report")]
    output: PathBuf,
    /// The target that the aims are for.
    #[arg(long, default_value = "myelin")]
    subject: String,
    /// The target that it is compared with.
    #[arg(long, default_value = "synapse")]
    peer: String,
}

/// Reads the files, writes the page and its plots.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut results = Results::default();
    for file in &arguments.files {
        let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
        results.add(&text).with_context(|| file.display().to_string())?;
    }
    results.derive_growth();
    fs::create_dir_all(&arguments.output)?;
    let plots = plots::draw(&arguments.output, &results, &arguments.subject, &arguments.peer)?;
    let page = page::write(&results, &arguments.subject, &arguments.peer, &plots);
    let path = arguments.output.join("report.md");
    fs::write(&path, page)?;
    eprintln!("{}", path.display());
    Ok(())
}
