//! `cargo xtask budgets [--update]`: what hot paths cost, against what is written down in `tests/budgets/`. Counts, no times, so that a
//! busy machine changes nothing.
//!
//! Statements are counted by tests, of requests and of received events, which need DATABASE_URL; instructions and allocations by the
//! benches called `counts`, under valgrind.

mod counts;
mod table;

use std::process::Command;

/// One line for each budget that does not hold.
pub(crate) fn check() -> Vec<String> {
    run(false)
}

/// Write down what is.
pub(crate) fn update() -> Vec<String> {
    run(true)
}

fn run(update: bool) -> Vec<String> {
    let mut errors = statements(update);
    errors.extend(counts::run(update));
    errors
}

fn statements(update: bool) -> Vec<String> {
    if std::env::var_os("DATABASE_URL").is_none() {
        return vec!["DATABASE_URL is not set".to_owned()];
    }
    let tests = [["myelin-client-api", "--lib"], ["myelin-engine", "--tests"]];
    tests.iter().flat_map(|[package, target]| count(package, target, update)).collect()
}

/// Run the tests of a package that count statements.
fn count(package: &str, target: &str, update: bool) -> Vec<String> {
    let status = Command::new(env!("CARGO"))
        .args(["test", "--quiet", "--package", package, target, "budgets::"])
        .env("MYELIN_BUDGETS", if update { "update" } else { "check" })
        .current_dir(crate::root())
        .status();
    match status {
        Ok(status) if status.success() => vec![],
        Ok(_) => vec!["the budgets of statements do not hold: see above".to_owned()],
        Err(error) => vec![format!("cargo does not run: {error}")],
    }
}
