//! Prints the result: a table for people on standard error, one JSON line for programs on standard output.

use clap::ValueEnum as _;
use serde_json::{Map, json};

use crate::{load::Outcome, scenarios::Scenario};

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
pub(crate) fn print(label: &str, scenario: Scenario, outcome: &Outcome) {
    let name =
        scenario.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
    let count = outcome.latencies.len();
    let per_second = count as f64 / outcome.elapsed.as_secs_f64();
    let milliseconds = |percent| round(outcome.percentile(percent).as_secs_f64() * 1000.0);
    let mut line = vec![
        ("label".to_owned(), json!(label)),
        ("scenario".to_owned(), json!(name)),
        ("operations".to_owned(), json!(count)),
        ("errors".to_owned(), json!(outcome.errors)),
        ("seconds".to_owned(), json!(round(outcome.elapsed.as_secs_f64()))),
        ("per_second".to_owned(), json!(round(per_second))),
        ("p50_ms".to_owned(), json!(milliseconds(50))),
        ("p90_ms".to_owned(), json!(milliseconds(90))),
        ("p99_ms".to_owned(), json!(milliseconds(99))),
        ("max_ms".to_owned(), json!(milliseconds(100))),
    ];
    for usage in &outcome.usages {
        let per_thousand = usage.cpu_seconds * 1000.0 / count as f64;
        line.push((format!("{}_cpu_seconds_per_1000", usage.name), json!(round(per_thousand))));
        line.push((format!("{}_memory_mb", usage.name), json!(round(usage.memory_mb))));
    }
    for (key, value) in &line {
        let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        eprintln!("{key:>36}  {shown}");
    }
    println!("{}", serde_json::Value::Object(Map::from_iter(line)));
}

/// Three decimals are more than is measured.
fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
