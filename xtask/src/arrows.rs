//! `cargo xtask arrows`: which crate may depend on which. A new arrow is a design review.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

const MODEL: &str = "myelin-model";
const EVENTS: &str = "myelin-events";
const STORAGE: &str = "myelin-storage";
const ENGINE: &str = "myelin-engine";
const OUTBOUND: &str = "myelin-outbound";
const ACCOUNTS: &str = "myelin-accounts";
const ROOMS: &str = "myelin-rooms";
const E2EE: &str = "myelin-e2ee";
const SYNC: &str = "myelin-sync";
const HTTP: &str = "myelin-http";
const CLIENT_API: &str = "myelin-client-api";
const ADMIN_API: &str = "myelin-admin-api";
const CONFIG: &str = "myelin-config";
const TESTING: &str = "myelin-testing";

/// The crates that each crate may depend on. Everything absent is forbidden. No use case (accounts, rooms, e2ee, sync) uses
/// another.
const ARROWS: &[(&str, &[&str])] = &[
    (MODEL, &[]),
    (EVENTS, &[MODEL]),
    (STORAGE, &[MODEL]),
    (ENGINE, &[MODEL, EVENTS, STORAGE]),
    (OUTBOUND, &[MODEL]),
    (ACCOUNTS, &[MODEL, EVENTS, STORAGE, ENGINE, OUTBOUND]),
    (ROOMS, &[MODEL, EVENTS, STORAGE, ENGINE]),
    (E2EE, &[MODEL, EVENTS, STORAGE, ENGINE]),
    (SYNC, &[MODEL, EVENTS, STORAGE, ENGINE]),
    (HTTP, &[MODEL, STORAGE, ACCOUNTS]),
    (CLIENT_API, &[MODEL, EVENTS, STORAGE, ENGINE, ACCOUNTS, ROOMS, E2EE, SYNC, HTTP]),
    (ADMIN_API, &[MODEL, EVENTS, STORAGE, ENGINE, ACCOUNTS, ROOMS, SYNC, HTTP]),
    (CONFIG, &[MODEL]),
    (
        "myelin",
        &[
            MODEL, EVENTS, STORAGE, ENGINE, OUTBOUND, ACCOUNTS, ROOMS, E2EE, SYNC, HTTP,
            CLIENT_API, ADMIN_API, CONFIG,
        ],
    ),
    (TESTING, &[MODEL, EVENTS, STORAGE, ENGINE, OUTBOUND, ACCOUNTS, ROOMS, SYNC, HTTP]),
    ("myelin-loadgen", &[]),
    ("xtask", &[]),
];

/// External crates that a crate of ours must not know, and why. Development dependencies are free.
const FORBIDDEN: &[(&str, &[&str], &str)] = &[
    (MODEL, &["tokio", "sqlx", "axum"], "the ground is plain values"),
    (
        EVENTS,
        &["tokio", "sqlx", "axum", "hyper", "reqwest"],
        "the rules of Matrix are pure functions",
    ),
    (STORAGE, &["axum", "hyper", "tower-http"], "storage knows nothing of HTTP"),
    (ENGINE, &["axum", "hyper", "sqlx", "reqwest"], "the engine knows neither HTTP nor SQL"),
    (
        OUTBOUND,
        &["ruma", "axum", "sqlx"],
        "what is sent out, and what it means, is for whoever sends it to know",
    ),
    (ACCOUNTS, &["axum", "hyper", "sqlx"], "use cases know neither HTTP nor SQL"),
    (ROOMS, &["axum", "hyper", "sqlx"], "use cases know neither HTTP nor SQL"),
    (E2EE, &["axum", "hyper", "sqlx"], "use cases know neither HTTP nor SQL"),
    (SYNC, &["axum", "hyper", "sqlx"], "use cases know neither HTTP nor SQL"),
    (CLIENT_API, &["sqlx"], "all SQL lives in storage"),
    (ADMIN_API, &["sqlx"], "all SQL lives in storage"),
];

/// Modules that nothing else in their crate may name, and why. Its root names them, as it declares them.
const TOPS: &[(&str, &[&str], &str)] =
    &[("crates/sync/src", &["v3", "old_sync"], "what reads knows no protocol")];

/// One line for each arrow that is not in the tables.
pub(crate) fn check() -> Vec<String> {
    let mut errors = match list_dependencies() {
        Ok(packages) => {
            let mut errors = compare(&packages);
            errors.extend(list_gone(&packages));
            errors
        }
        Err(error) => vec![error],
    };
    for (crate_source, tops, why) in TOPS {
        check_tops(&crate::root().join(crate_source), tops, why, &mut errors);
    }
    errors
}

/// Add a line for each place that names a top module without being part of it.
fn check_tops(source: &Path, tops: &[&str], why: &str, errors: &mut Vec<String>) {
    for file in list_files(source) {
        let shown = file.strip_prefix(source).unwrap_or(&file);
        if shown == Path::new("lib.rs") {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap_or_default();
        for top in tops.iter().filter(|top| !shown.starts_with(top)) {
            for (number, _) in text.lines().enumerate().filter(|(_, line)| names(line, top)) {
                errors.push(format!("{}:{}: names {top}: {why}", file.display(), number + 1));
            }
        }
    }
}

/// Whether a line of code names something in a module.
fn names(line: &str, module: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    let mut words = code.split(|char: char| !char.is_alphanumeric() && char != '_' && char != ':');
    words.any(|path| path.contains("::") && path.split("::").any(|part| part == module))
}

fn list_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = vec![];
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { files.extend(list_files(&path)) } else { files.push(path) }
    }
    files
}

/// Package name → the names of its normal and build dependencies.
fn list_dependencies() -> Result<BTreeMap<String, Vec<String>>, String> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version=1", "--offline"])
        .current_dir(crate::root())
        .output()
        .map_err(|error| format!("cargo metadata does not run: {error}"))?;
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).map_err(|_| {
        format!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr))
    })?;
    let list = |value: &serde_json::Value, key: &str| {
        value.get(key).and_then(|v| v.as_array()).cloned().unwrap_or_default()
    };
    let text = |value: &serde_json::Value, key: &str| {
        value.get(key).and_then(|v| v.as_str()).unwrap_or_default().to_owned()
    };
    Ok(list(&metadata, "packages")
        .iter()
        .map(|package| {
            let dependencies = list(package, "dependencies");
            let counted =
                dependencies.iter().filter(|d| text(d, "kind") != "dev").map(|d| text(d, "name"));
            (text(package, "name"), counted.collect())
        })
        .collect())
}

/// The rows of the table whose crate is gone.
fn list_gone(packages: &BTreeMap<String, Vec<String>>) -> impl Iterator<Item = String> {
    let gone = ARROWS.iter().map(|(name, _)| *name).filter(|name| !packages.contains_key(*name));
    gone.map(|name| format!("{name} stands in xtask/src/arrows.rs and is no crate"))
}

fn compare(packages: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    let allowed: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    let mut errors = vec![];
    for (name, dependencies) in packages {
        let Some(allowed) = allowed.get(name.as_str()) else {
            errors.push(format!("{name} is not in the table of xtask/src/arrows.rs"));
            continue;
        };
        for dependency in dependencies {
            if packages.contains_key(dependency) && !allowed.contains(&dependency.as_str()) {
                errors.push(format!(
                    "{name} -> {dependency} is not allowed: see docs/style.md, Arrows"
                ));
            }
            for (_, _, why) in FORBIDDEN
                .iter()
                .filter(|(of, what, _)| of == name && what.contains(&dependency.as_str()))
            {
                errors.push(format!("{name} must not know {dependency}: {why}"));
            }
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrows_hold() {
        assert_eq!(check(), Vec::<String>::new());
    }

    #[test]
    fn a_use_case_may_not_use_another() {
        let packages = [(ROOMS, vec![SYNC]), (SYNC, vec![])].map(|(name, dependencies)| {
            (name.to_owned(), dependencies.into_iter().map(str::to_owned).collect())
        });
        assert_eq!(compare(&BTreeMap::from(packages)).len(), 1);
    }

    #[test]
    fn a_row_of_a_crate_that_is_gone_is_told() {
        assert_eq!(list_gone(&BTreeMap::new()).count(), ARROWS.len());
    }

    #[test]
    fn a_surface_may_not_know_sql() {
        let packages = BTreeMap::from([(CLIENT_API.to_owned(), vec!["sqlx".to_owned()])]);
        assert_eq!(compare(&packages).len(), 1);
    }

    #[test]
    fn a_module_is_named_by_its_paths_alone() {
        for (line, expect) in [
            ("use crate::v3::Pass;", true),
            ("    v3::SentMembers,", true),
            ("fn look(pass: &super::v3::Pass) {}", true),
            ("//! `v3::sync` is above this.", false),
            ("let v3 = RoomVersion::V3;", false),
        ] {
            assert_eq!(names(line, "v3"), expect, "{line}");
        }
    }
}
