//! The table at the end of a run: medians, how far the rounds spread, and the ratio to the next target.

use std::fmt::Write as _;

use serde_json::{Map, Value};

/// The columns of the table: name in the line, name in the table.
const COLUMNS: &[(&str, &str)] = &[
    ("per_second", "per second"),
    ("p50_ms", "p50 ms"),
    ("p90_ms", "p90 ms"),
    ("p99_ms", "p99 ms"),
    ("max_ms", "max ms"),
    ("errors", "errors"),
    ("server_cpu_seconds_per_1000", "server CPU s/1000"),
    ("postgres_cpu_seconds_per_1000", "postgres CPU s/1000"),
    ("cpu_seconds_per_1000", "both CPU s/1000"),
    ("server_cores", "server cores"),
    ("postgres_cores", "postgres cores"),
    ("server_memory_mb", "server MB"),
    ("postgres_memory_mb", "postgres MB"),
];

/// The figures that every line has, and no table needs.
const HIDDEN: &[&str] = &["round", "time", "operations", "seconds"];

/// Median and range of some figures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// The spread of figures. `None` if there are none.
    pub(crate) fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_unstable_by(f64::total_cmp);
        let (low, high) =
            (values.get((values.len().max(1) - 1) / 2)?, values.get(values.len() / 2)?);
        let median = f64::midpoint(*low, *high);
        Some(Self { median, min: *values.first()?, max: *values.last()? })
    }
}

/// One row a figure, one column a target, and the ratio of the first target to the second.
pub(crate) fn table(lines: &[Map<String, Value>]) -> String {
    let mut targets: Vec<&str> = vec![];
    for target in lines.iter().filter_map(|line| line.get("target")?.as_str()) {
        if !targets.contains(&target) {
            targets.push(target);
        }
    }
    let mut text = format!("{:>30}", "");
    for target in &targets {
        let _ = write!(text, "  {target:>32}");
    }
    text.push('\n');
    for (key, title) in list_rows(lines) {
        let spreads: Vec<Option<Spread>> =
            targets.iter().map(|target| spread(lines, target, &key)).collect();
        let _ = write!(text, "{title:>30}");
        for spread in &spreads {
            let _ = write!(text, "  {:>32}", spread.map(show_spread).unwrap_or_default());
        }
        if let [Some(first), Some(second), ..] = spreads.as_slice()
            && second.median != 0.0
        {
            let _ = write!(text, "  {:>8} x", show(first.median / second.median));
        }
        text.push('\n');
    }
    text
}

/// The usual figures first, then those that only the scenario has.
fn list_rows(lines: &[Map<String, Value>]) -> Vec<(String, String)> {
    let mut rows: Vec<(String, String)> =
        COLUMNS.iter().map(|(key, title)| ((*key).to_owned(), (*title).to_owned())).collect();
    for (key, value) in lines.iter().flatten() {
        let known = HIDDEN.contains(&key.as_str()) || rows.iter().any(|(row, _)| row == key);
        if value.is_number() && !known {
            rows.push((key.clone(), key.replace('_', " ")));
        }
    }
    rows.retain(|(key, _)| lines.iter().any(|line| line.contains_key(key)));
    rows
}

fn spread(lines: &[Map<String, Value>], target: &str, key: &str) -> Option<Spread> {
    let own = lines.iter().filter(|line| line.get("target").is_some_and(|name| name == target));
    Spread::of(own.filter_map(|line| line.get(key)?.as_f64()).collect())
}

fn show_spread(spread: Spread) -> String {
    if spread.min == spread.max {
        return show(spread.median);
    }
    format!("{} ({}..{})", show(spread.median), show(spread.min), show(spread.max))
}

/// A number with as many decimals as make sense.
pub(crate) fn show(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.1 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_is_between() {
        let spread = |values: &[f64]| Spread::of(values.to_vec());
        assert_eq!(spread(&[]), None);
        assert_eq!(spread(&[3.0]), Some(Spread { median: 3.0, min: 3.0, max: 3.0 }));
        assert_eq!(spread(&[4.0, 1.0, 2.0]), Some(Spread { median: 2.0, min: 1.0, max: 4.0 }));
        assert_eq!(spread(&[4.0, 1.0]), Some(Spread { median: 2.5, min: 1.0, max: 4.0 }));
    }
}
