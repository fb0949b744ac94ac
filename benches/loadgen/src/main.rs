//! A load generator for Matrix homeservers: any servers by their URLs, several in turn, one JSON line for each round.

mod arguments;
mod client;
mod delivery;
mod fixture;
mod hash_rate;
mod load;
mod open_loop;
mod outcome;
mod progress;
mod readers;
mod report;
mod result_line;
mod rounds;
mod scan;
mod scenarios;
mod summary;
mod target;
mod usage;

use clap::{Parser, Subcommand};

/// Puts load on Matrix homeservers and measures what they do.
#[derive(Parser)]
#[command(version)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run one scenario on every target, in rounds.
    Run(Box<arguments::Run>),
    /// Measure how many passwords this machine can hash: what `login` is compared with.
    HashRate(hash_rate::Arguments),
    /// Write a page with tables and plots from files of results.
    Report(report::Arguments),
}

fn main() -> anyhow::Result<()> {
    match CommandLine::parse().command {
        Command::Run(arguments) => {
            // One thread: the generator shall leave the processors to the server.
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let tasks = tokio::task::LocalSet::new();
            tasks.block_on(&runtime, rounds::run(*arguments))
        }
        Command::HashRate(arguments) => hash_rate::run(&arguments),
        Command::Report(arguments) => report::run(&arguments),
    }
}
