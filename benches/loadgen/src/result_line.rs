//! One JSON line for each round, and one for each sample of a long run.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use crate::{arguments::Plan, outcome::Outcome, usage::Watch};

/// The round that a line is about.
pub(crate) struct Subject<'a> {
    pub(crate) scenario: &'a str,
    pub(crate) target: &'a str,
    pub(crate) round: usize,
}

type Line = Map<String, Value>;

/// The line of a round.
pub(crate) fn of_round(subject: &Subject<'_>, plan: &Plan, outcome: &Outcome) -> Line {
    let (count, seconds) = (to_f64(outcome.count()), outcome.elapsed.as_secs_f64());
    let mut line = begin("round", subject);
    line.insert("operations".to_owned(), json!(outcome.count()));
    line.insert("errors".to_owned(), json!(outcome.errors.count));
    if let Some(error) = &outcome.errors.first {
        line.insert("first_error".to_owned(), json!(error));
    }
    let mut add = |name: &str, value: f64| line.insert(name.to_owned(), json!(round(value)));
    add("seconds", seconds);
    add("per_second", count / seconds);
    for (name, percent) in [("p50_ms", 50), ("p90_ms", 90), ("p99_ms", 99), ("max_ms", 100)] {
        if let Some(value) = outcome.latencies.percentile_ms(percent) {
            add(name, value);
        }
    }
    for usage in &outcome.usages {
        add(&format!("{}_cores", usage.name), usage.cpu_seconds / seconds);
        add(&format!("{}_memory_mb", usage.name), usage.memory_mb);
        if count > 0.0 {
            let per_1000 = usage.cpu_seconds * 1000.0 / count;
            add(&format!("{}_cpu_seconds_per_1000", usage.name), per_1000);
        }
    }
    let cpu_seconds: f64 = outcome.usages.iter().map(|usage| usage.cpu_seconds).sum();
    if count > 0.0 && !outcome.usages.is_empty() {
        add("cpu_seconds_per_1000", cpu_seconds * 1000.0 / count);
    }
    for (name, value) in &outcome.figures {
        add(name, *value);
    }
    line.insert("plan".to_owned(), plan_to_json(plan));
    line
}

/// The line of a sample: CPU seconds and memory since the processes began.
pub(crate) fn of_sample(subject: &Subject<'_>, since_start: Duration, watches: &[Watch]) -> Line {
    let mut line = begin("sample", subject);
    line.insert("at_seconds".to_owned(), json!(round(since_start.as_secs_f64())));
    for watch in watches {
        let usage = watch.usage();
        line.insert(format!("{}_cpu_seconds", usage.name), json!(round(usage.cpu_seconds)));
        line.insert(format!("{}_memory_mb", usage.name), json!(round(usage.memory_mb)));
    }
    line
}

fn begin(kind: &str, subject: &Subject<'_>) -> Line {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    Map::from_iter([
        ("kind".to_owned(), json!(kind)),
        ("scenario".to_owned(), json!(subject.scenario)),
        ("target".to_owned(), json!(subject.target)),
        ("round".to_owned(), json!(subject.round)),
        ("time".to_owned(), json!(now)),
    ])
}

fn plan_to_json(plan: &Plan) -> Value {
    json!({
        "users": plan.users, "rooms": plan.rooms, "members": plan.members,
        "concurrency": plan.concurrency, "readers": plan.readers, "rate": plan.rate,
        "messages": plan.messages, "member_changes": plan.member_changes,
        "rate_factor": plan.rate_factor,
    })
}

/// Four decimals are more than is measured.
fn round(value: f64) -> f64 {
    (value * 10_000.0).round() / 10_000.0
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
fn to_f64(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_per_second_and_per_operation() {
        let outcome = Outcome {
            latencies: vec![Duration::from_millis(2); 100].into(),
            elapsed: Duration::from_secs(2),
            usages: vec![
                crate::usage::Usage { name: "server".to_owned(), cpu_seconds: 1.0, memory_mb: 7.0 },
                crate::usage::Usage {
                    name: "postgres".to_owned(),
                    cpu_seconds: 0.5,
                    memory_mb: 9.0,
                },
            ],
            ..Outcome::default()
        };
        let subject = Subject { scenario: "send", target: "a", round: 1 };
        let line = of_round(&subject, &Plan::NOTHING, &outcome);
        let expected = [
            ("per_second", 50.0),
            ("p99_ms", 2.0),
            ("server_cores", 0.5),
            ("server_cpu_seconds_per_1000", 10.0),
            ("cpu_seconds_per_1000", 15.0),
            ("postgres_memory_mb", 9.0),
        ];
        for (name, value) in expected {
            assert_eq!(line.get(name).and_then(Value::as_f64), Some(value), "{name}");
        }
    }
}
