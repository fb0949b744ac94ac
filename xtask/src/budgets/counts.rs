//! Runs the benches called `counts` under valgrind.

use std::{collections::BTreeMap, fs, process::Command};

use super::table::{self, Cost};

/// The crates that have such a bench.
const PACKAGES: [&str; 2] = ["myelin-events", "myelin-storage"];
/// The function whose instructions count: see `crates/events/benches/fixture/counted.rs`.
const REGION: &str = "--toggle-collect=*counted_region*";
const FILE: &str = "tests/budgets/instructions.tsv";

pub(super) fn run(update: bool) -> Vec<String> {
    let mut counted = BTreeMap::new();
    for package in PACKAGES {
        match count(package) {
            Ok(costs) => counted.extend(costs),
            Err(error) => return vec![error],
        }
    }
    let file = crate::root().join(FILE);
    if update {
        let written = table::read(&fs::read_to_string(&file).unwrap_or_default());
        let settled = table::settle(&written, counted);
        return match fs::write(&file, table::write(&settled)) {
            Ok(()) => vec![],
            Err(error) => vec![format!("{FILE}: {error}")],
        };
    }
    let written = table::read(&fs::read_to_string(&file).unwrap_or_default());
    let mut errors = table::compare(&written, &counted);
    if !errors.is_empty() {
        errors.push(format!(
            "If that is meant, write it down with `cargo xtask budgets --update` in the same commit: see docs/testing.md, Budgets. \
             ({FILE} holds for the current stable compiler; this is {}.)",
            output(Command::new("rustc").arg("--version")).unwrap_or_default().trim()
        ));
    }
    errors
}

fn count(package: &str) -> Result<BTreeMap<String, Cost>, String> {
    let program = build(package)?;
    let names = output(&mut Command::new(&program))?;
    let mut costs = BTreeMap::new();
    for name in names.lines().filter_map(|line| line.split('\t').next()) {
        costs.insert(name.to_owned(), measure(&program, name)?);
    }
    Ok(costs)
}

/// Build without optimization, as tests are: what is counted is the work that the code asks for, and nothing has to be compiled anew.
/// Valgrind finds the region by its symbol, which is left out by default.
fn build(package: &str) -> Result<String, String> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["rustc", "--quiet", "--profile", "test", "--package", package]);
    cargo.args(["--bench", "counts", "--message-format", "json", "--", "-C", "strip=none"]);
    let messages = output(cargo.env("SQLX_OFFLINE", "true").current_dir(crate::root()))?;
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter_map(|message| Some(message.get("executable")?.as_str()?.to_owned()))
        .next_back()
        .ok_or_else(|| format!("{package} has no bench called counts"))
}

fn measure(program: &str, case: &str) -> Result<Cost, String> {
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null", REGION, program, case]);
    let run = valgrind.output().map_err(|error| format!("valgrind does not run: {error}"))?;
    let (printed, said) =
        (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    let allocations = printed.trim().rsplit('\t').next().and_then(|number| number.parse().ok());
    let collected = said.lines().find_map(|line| line.split_once("Collected :"));
    let instructions = collected.and_then(|(_, number)| number.trim().parse().ok());
    match (instructions, allocations) {
        (Some(instructions), Some(allocations)) if instructions > 0 => {
            Ok(Cost { instructions, allocations })
        }
        _ => Err(format!("{case} could not be counted: {printed}{said}")),
    }
}

fn output(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{command:?} does not run: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!("{command:?} failed: {}", String::from_utf8_lossy(&output.stderr)))
    }
}
