//! The page: aims beside what was measured, then all figures.

use std::fmt::Write as _;

use super::{
    aims::{AIMS, Aim, Verdict},
    plots::Plot,
    results::Results,
};
use crate::summary::{Spread, show};

/// The columns of the second table.
const FIGURES: &[(&str, &str)] = &[
    ("per_second", "per second"),
    ("p50_ms", "p50 ms"),
    ("p99_ms", "p99 ms"),
    ("server_cpu_seconds_per_1000", "server CPU ms each"),
    ("postgres_cpu_seconds_per_1000", "PostgreSQL CPU ms each"),
    ("server_cores", "server cores"),
    ("postgres_cores", "PostgreSQL cores"),
    ("server_memory_mb", "server MB"),
    ("postgres_memory_mb", "PostgreSQL MB"),
    ("errors", "errors"),
];

/// The whole page, as Markdown.
pub(super) fn write(results: &Results, subject: &str, peer: &str, plots: &[Plot]) -> String {
    let mut page =
        format!("# What was measured\n\nMedians over all rounds. {subject} beside {peer}.\n\n");
    page.push_str("## Aims\n\n");
    let _ = writeln!(page, "| scenario | figure | {subject} | {peer} | ratio | aim | |");
    page.push_str("|---|---|---:|---:|---:|---|---|\n");
    for aim in AIMS {
        write_aim(&mut page, aim, results, subject, peer);
    }
    for plot in plots {
        let _ = write!(page, "\n![{}]({})\n", plot.title, plot.file);
    }
    page.push_str(
        "\n## All figures\n\nMedian (smallest..largest) of the rounds.\n\n| scenario | server |",
    );
    for (_, title) in FIGURES {
        let _ = write!(page, " {title} |");
    }
    page.push_str("\n|---|---|");
    page.push_str(&"---:|".repeat(FIGURES.len()));
    page.push('\n');
    for scenario in &results.scenarios {
        for target in &results.targets {
            write_figures(&mut page, results, scenario, target);
        }
    }
    for scenario in results.list_uneven() {
        let _ = write!(
            page,
            "\n**{scenario} was run with different sizes: its figures mean nothing.**\n"
        );
    }
    if !results.errors.is_empty() {
        page.push_str("\n## Errors\n\n");
    }
    for (scenario, target, error) in &results.errors {
        let _ = writeln!(page, "- {scenario}, {target}: `{}`", error.replace('`', "'"));
    }
    page
}

fn write_aim(page: &mut String, aim: &Aim, results: &Results, subject: &str, peer: &str) {
    let find = |target: &str| results.find(aim.scenario, target, aim.figure);
    let (own, other) = (find(subject), find(peer));
    let ratio = match (own, other) {
        (Some(own), Some(other)) if other.median > 0.0 && own.median > other.median => {
            format!("{} ×", show(own.median / other.median))
        }
        (Some(own), Some(other)) if own.median > 0.0 => {
            format!("1/{}", show(other.median / own.median))
        }
        _ => String::new(),
    };
    let median =
        |spread: Option<Spread>| spread.map(|spread| show(spread.median)).unwrap_or_default();
    let verdict = match aim.verdict(results, subject, peer) {
        Verdict::Met => "met",
        Verdict::Missed => "**missed**",
        Verdict::Unknown => "not measured",
    };
    let mut text = aim.text();
    if let Some(limit) = aim.limit(results, subject, peer).filter(|limit| *limit > 0.0) {
        let _ = write!(text, " ({})", show(limit));
    }
    let _ = writeln!(
        page,
        "| {} | {} | {} | {} | {ratio} | {text} | {verdict} |",
        aim.scenario,
        aim.title,
        median(own),
        median(other),
    );
}

fn write_figures(page: &mut String, results: &Results, scenario: &str, target: &str) {
    let spreads: Vec<Option<Spread>> =
        FIGURES.iter().map(|(figure, _)| results.find(scenario, target, figure)).collect();
    if spreads.iter().all(Option::is_none) {
        return;
    }
    let _ = write!(page, "| {scenario} | {target} |");
    for spread in spreads {
        let text = match spread {
            None => String::new(),
            Some(spread) if spread.min == spread.max => show(spread.median),
            Some(spread) => {
                format!("{} ({}..{})", show(spread.median), show(spread.min), show(spread.max))
            }
        };
        let _ = write!(page, " {text} |");
    }
    page.push('\n');
}
