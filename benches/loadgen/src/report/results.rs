//! The figures of one or more runs, by scenario and target.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use serde_json::{Map, Value};

use crate::summary::Spread;

/// The target of figures that belong to no server, such as bare commits.
pub(super) const REFERENCE: &str = "reference";

/// All figures.
#[derive(Default)]
pub(super) struct Results {
    figures: BTreeMap<(String, String), BTreeMap<String, Vec<f64>>>,
    /// The scenarios in the order of their first line.
    pub(super) scenarios: Vec<String>,
    pub(super) targets: Vec<String>,
    pub(super) samples: Vec<Sample>,
    /// Scenario, target, and the first error of a round.
    pub(super) errors: Vec<(String, String, String)>,
    /// The sizes that each scenario was run with: more than one cannot be compared.
    plans: BTreeMap<String, BTreeSet<String>>,
}

/// Memory at one moment of a long run.
pub(super) struct Sample {
    pub(super) scenario: String,
    pub(super) target: String,
    pub(super) at_seconds: f64,
    pub(super) memory_mb: f64,
}

impl Results {
    /// Adds the lines of a file.
    pub(super) fn add(&mut self, text: &str) -> anyhow::Result<()> {
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.is_empty()) {
            let line: Map<String, Value> = serde_json::from_str(line)
                .with_context(|| format!("line {} is no result", number + 1))?;
            self.add_line(&line).with_context(|| format!("line {}", number + 1))?;
        }
        Ok(())
    }

    fn add_line(&mut self, line: &Map<String, Value>) -> anyhow::Result<()> {
        let text = |key: &str| line.get(key).and_then(Value::as_str).map(str::to_owned);
        let number = |key: &str| line.get(key).and_then(Value::as_f64);
        let scenario = text("scenario").context("has no scenario")?;
        let target = text("target").context("has no target")?;
        if text("kind").as_deref() == Some("sample") {
            let at_seconds = number("at_seconds").context("has no at_seconds")?;
            let memory_mb = number("server_memory_mb").unwrap_or_default();
            self.samples.push(Sample { scenario, target, at_seconds, memory_mb });
            return Ok(());
        }
        add_once(&mut self.scenarios, &scenario);
        add_once(&mut self.targets, &target);
        if let Some(plan) = line.get("plan") {
            self.plans.entry(scenario.clone()).or_default().insert(plan.to_string());
        }
        if let Some(error) = text("first_error") {
            self.errors.push((scenario.clone(), target.clone(), error));
        }
        let figures = self.figures.entry((scenario, target)).or_default();
        for (key, value) in line {
            if let Some(value) = value.as_f64() {
                figures.entry(key.clone()).or_default().push(value);
            }
        }
        Ok(())
    }

    /// Median and range of a figure over all rounds of all files.
    pub(super) fn find(&self, scenario: &str, target: &str, figure: &str) -> Option<Spread> {
        let key = (scenario.to_owned(), target.to_owned());
        Spread::of(self.figures.get(&key)?.get(figure)?.clone())
    }

    /// Scenarios that were run with different sizes.
    pub(super) fn list_uneven(&self) -> Vec<&str> {
        let uneven = self.plans.iter().filter(|(_, plans)| plans.len() > 1);
        uneven.map(|(scenario, _)| scenario.as_str()).collect()
    }

    /// Adds `memory_growth` to each run with samples: the median of its last quarter, divided by that of its second.
    /// The first quarter does not count: caches fill.
    pub(super) fn derive_growth(&mut self) {
        let mut runs: BTreeMap<(String, String), Vec<(f64, f64)>> = BTreeMap::new();
        for sample in &self.samples {
            let key = (sample.scenario.clone(), sample.target.clone());
            runs.entry(key).or_default().push((sample.at_seconds, sample.memory_mb));
        }
        for (key, samples) in runs {
            let end = samples.iter().map(|(at, _)| *at).fold(0.0, f64::max);
            let quarter = |from: f64, to: f64| {
                let inside = samples.iter().filter(|(at, _)| (from * end..=to * end).contains(at));
                Spread::of(inside.map(|(_, memory)| *memory).collect())
            };
            if let (Some(early), Some(late)) = (quarter(0.25, 0.5), quarter(0.75, 1.0))
                && early.median > 0.0
            {
                let growth = late.median / early.median;
                self.figures
                    .entry(key)
                    .or_default()
                    .insert("memory_growth".to_owned(), vec![growth]);
            }
        }
    }
}

fn add_once(list: &mut Vec<String>, name: &str) {
    if !list.iter().any(|known| known == name) {
        list.push(name.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_of_several_files_are_put_together() {
        let line = |value: u32| {
            format!(r#"{{"kind":"round","scenario":"send","target":"a","per_second":{value}}}"#)
        };
        let mut results = Results::default();
        results.add(&format!("{}\n{}\n", line(10), line(30))).unwrap();
        results.add(&line(20)).unwrap();
        let spread = results.find("send", "a", "per_second").unwrap();
        assert_eq!((spread.median, spread.min, spread.max), (20.0, 10.0, 30.0));
        assert_eq!(results.find("send", "b", "per_second"), None);
        assert!(results.add("{}").is_err());
    }

    #[test]
    fn different_sizes_are_noticed() {
        let mut results = Results::default();
        for (scenario, members) in [("send", 10), ("send", 10), ("members", 10), ("members", 20)] {
            let line = format!(
                r#"{{"scenario":"{scenario}","target":"a","plan":{{"members":{members}}}}}"#
            );
            results.add(&line).unwrap();
        }
        assert_eq!(results.list_uneven(), ["members"]);
    }

    #[test]
    fn growth_is_late_memory_over_early_memory() {
        let mut results = Results::default();
        for at in 0..=100 {
            let memory = if at < 20 { 10.0 } else { 100.0 + f64::from(at) };
            results
                .add(&format!(
                    r#"{{"kind":"sample","scenario":"soak","target":"a","at_seconds":{at},"server_memory_mb":{memory}}}"#
                ))
                .unwrap();
        }
        results.derive_growth();
        let growth = results.find("soak", "a", "memory_growth").unwrap().median;
        assert!((growth - 187.5 / 137.5).abs() < 0.02, "{growth}");
    }
}
