//! Runs one scenario on all targets, in rounds: first everything is prepared everywhere, then the targets are measured
//! in turn, so that whatever else the machine does meets all of them.

use std::{
    fs::OpenOptions,
    io::Write as _,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use serde_json::{Map, Value};

use crate::{
    arguments::{Plan, Run},
    load::Round,
    result_line::{self, Subject},
    scenarios::Prepared,
    summary,
    target::Target,
};

/// Runs everything.
pub(crate) async fn run(arguments: Run) -> anyhow::Result<()> {
    let plan = arguments.scenario.plan().with(arguments.sizes);
    let name = arguments.name.clone().unwrap_or_else(|| arguments.scenario.name(&plan));
    let targets: Vec<Target> = arguments
        .target
        .iter()
        .map(|named| {
            Target::new(
                named,
                &arguments.shared_secret,
                &arguments.as_token,
                &arguments.keep,
                &arguments.watch,
            )
        })
        .collect::<anyhow::Result<_>>()?;
    let mut prepared = vec![];
    for target in &targets {
        let ready = prepare(&arguments, target, &plan).await;
        prepared.push((target, ready.with_context(|| format!("preparing {}", target.name))?));
    }
    let rounds =
        if arguments.scenario.is_once() { arguments.rounds.min(1) } else { arguments.rounds };
    let mut lines = vec![];
    for number in 1..=rounds {
        for (target, scenario) in &prepared {
            let round = Round {
                number,
                title: format!("{}: {name} {number}/{rounds}", target.name),
                warm_up: Duration::from_secs_f64(arguments.warm_up_seconds),
                duration: Duration::from_secs_f64(arguments.seconds),
                watches: target.watches.clone(),
            };
            let subject = Subject { scenario: &name, target: &target.name, round: number };
            let line = measure(&arguments, scenario.as_ref(), &round, &subject, &plan).await?;
            lines.push(line);
        }
    }
    eprint!("{}", summary::table(&lines));
    Ok(())
}

async fn prepare(
    arguments: &Run,
    target: &Target,
    plan: &Plan,
) -> anyhow::Result<Box<dyn Prepared>> {
    target.client.wait_until_ready(Duration::from_secs(60)).await?;
    arguments.scenario.prepare(target, plan).await
}

async fn measure(
    arguments: &Run,
    scenario: &dyn Prepared,
    round: &Round,
    subject: &Subject<'_>,
    plan: &Plan,
) -> anyhow::Result<Map<String, Value>> {
    let sampling = sample(arguments, round, subject);
    let outcome = tokio::select! {
        outcome = scenario.measure(round) => outcome,
        error = sampling => Err(error),
    };
    let outcome = outcome.with_context(|| round.title.clone())?;
    if let Some(error) = &outcome.errors.first {
        eprintln!("{}: {} errors; the first: {error}", round.title, outcome.errors.count);
    }
    let line = result_line::of_round(subject, plan, &outcome);
    write(arguments, &line)?;
    Ok(line)
}

/// Writes a sample now and then, if that was asked for; ends only if it cannot.
async fn sample(arguments: &Run, round: &Round, subject: &Subject<'_>) -> anyhow::Error {
    let Some(seconds) = arguments.sample_seconds else { return std::future::pending().await };
    let start = Instant::now();
    loop {
        let line = result_line::of_sample(subject, start.elapsed(), &round.watches);
        if let Err(error) = write(arguments, &line) {
            return error;
        }
        tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
    }
}

fn write(arguments: &Run, line: &Map<String, Value>) -> anyhow::Result<()> {
    let line = serde_json::to_string(line)?;
    let Some(path) = &arguments.output else {
        println!("{line}");
        return Ok(());
    };
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    writeln!(file, "{line}").with_context(|| path.display().to_string())
}
