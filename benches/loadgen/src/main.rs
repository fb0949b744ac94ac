//! A load generator for Matrix homeservers: any server by its URL, one scenario a run, one JSON line as the result.

mod client;
mod fixture;
mod load;
mod report;
mod scenarios;
mod usage;

use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;

use crate::{
    client::Client,
    fixture::{Fixture, Size},
    load::Load,
    scenarios::Scenario,
    usage::Watch,
};

/// Puts load on a Matrix homeserver and measures what it does.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// What to do.
    #[arg(value_enum)]
    scenario: Scenario,
    /// Base URL of the homeserver; several are used in turn.
    #[arg(long, required = true)]
    url: Vec<String>,
    /// `registration_shared_secret` of the homeserver.
    #[arg(long)]
    shared_secret: String,
    /// Users to register.
    #[arg(long, default_value_t = 50)]
    users: usize,
    /// Rooms to create.
    #[arg(long, default_value_t = 20)]
    rooms: usize,
    /// Members in each room.
    #[arg(long, default_value_t = 10)]
    members: usize,
    /// Requests under way at once.
    #[arg(long, default_value_t = 16)]
    concurrency: usize,
    /// How long to measure.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// How long to run before measuring.
    #[arg(long, default_value_t = 3)]
    warm_up_seconds: u64,
    /// `name=PID`: measure CPU time and memory of this process and its children.
    #[arg(long)]
    watch: Vec<Watch>,
    /// Written into the result, to tell runs apart.
    #[arg(long, default_value = "")]
    label: String,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    // One thread: the generator shall leave the processors to the server.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(run(arguments))
}

async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let client = Client::new(&arguments.url)?;
    client.wait_until_ready(Duration::from_secs(60)).await?;
    let size = arguments.scenario.size(Size {
        users: arguments.users,
        rooms: arguments.rooms,
        members: arguments.members,
    });
    let fixture = Fixture::make(&client, &arguments.shared_secret, size)
        .await
        .context("preparing users and rooms")?;
    let load = Load {
        concurrency: arguments.concurrency,
        duration: Duration::from_secs(arguments.seconds),
        warm_up: Duration::from_secs(arguments.warm_up_seconds),
        watches: arguments.watch,
    };
    let outcome = arguments.scenario.run(&fixture, &load).await?;
    report::print(&arguments.label, arguments.scenario, &outcome);
    Ok(())
}
