//! `cargo xtask sqlx [--check]`: writes `.sqlx/`, the description of every query, so that building needs no
//! database. Needs DATABASE_URL to point to a PostgreSQL server where databases may be created.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::database;

/// Regenerates `.sqlx/`.
pub(crate) fn write() -> Vec<String> {
    let root = crate::root();
    match generate(&root) {
        Err(error) => vec![error],
        Ok(fresh) => replace(&fresh, &root.join(".sqlx")).err().into_iter().collect(),
    }
}

/// One line for each query whose description in `.sqlx/` is missing, stale or left over.
pub(crate) fn check() -> Vec<String> {
    let root = crate::root();
    let fresh = match generate(&root) {
        Ok(folder) => read(&folder),
        Err(error) => return vec![error],
    };
    let committed = read(&root.join(".sqlx"));
    let mut errors = vec![];
    for (name, text) in &fresh {
        match committed.get(name) {
            None => errors.push(format!(".sqlx/{name} is missing: run `cargo xtask sqlx`")),
            Some(old) if old != text => {
                errors.push(format!(".sqlx/{name} is stale: run `cargo xtask sqlx`"))
            }
            Some(_) => {}
        }
    }
    let left_over = committed.keys().filter(|name| !fresh.contains_key(*name));
    errors.extend(
        left_over.map(|name| format!(".sqlx/{name} belongs to no query: run `cargo xtask sqlx`")),
    );
    errors
}

/// Builds the storage crate against a database made for it, and gives the folder of what the macros saved.
fn generate(root: &Path) -> Result<PathBuf, String> {
    database::with_new("sqlx", |url| {
        database::migrate(root, url)?;
        build(root, url)
    })
}

fn build(root: &Path, database: &str) -> Result<PathBuf, String> {
    let fresh = root.join("target/sqlx");
    let _absent_is_fine = fs::remove_dir_all(&fresh);
    fs::create_dir_all(&fresh).map_err(|error| format!("{}: {error}", fresh.display()))?;
    // The macros save what they see only while the crate is compiled, and cargo compiles only what is newer.
    let entry = root.join("crates/storage/src/lib.rs");
    let touched = fs::File::options()
        .append(true)
        .open(&entry)
        .and_then(|file| file.set_modified(std::time::SystemTime::now()));
    touched.map_err(|error| format!("{}: {error}", entry.display()))?;
    let status = Command::new(env!("CARGO"))
        .args(["check", "--quiet", "--package", "myelin-storage", "--all-targets"])
        .env("SQLX_OFFLINE", "false")
        .env("SQLX_OFFLINE_DIR", &fresh)
        .env("DATABASE_URL", database)
        .current_dir(root)
        .status()
        .map_err(|error| format!("cargo does not run: {error}"))?;
    if status.success() { Ok(fresh) } else { Err("myelin-storage does not build".to_owned()) }
}

fn read(folder: &Path) -> BTreeMap<String, String> {
    let Ok(entries) = fs::read_dir(folder) else { return BTreeMap::new() };
    let files = entries.flatten().map(|entry| entry.path());
    files
        .filter(|file| file.extension().is_some_and(|extension| extension == "json"))
        .filter_map(|file| {
            Some((
                file.file_name()?.to_string_lossy().into_owned(),
                fs::read_to_string(&file).ok()?,
            ))
        })
        .collect()
}

fn replace(fresh: &Path, committed: &Path) -> Result<(), String> {
    let _absent_is_fine = fs::remove_dir_all(committed);
    fs::create_dir_all(committed).map_err(|error| format!("{}: {error}", committed.display()))?;
    for (name, text) in read(fresh) {
        fs::write(committed.join(&name), text).map_err(|error| format!(".sqlx/{name}: {error}"))?;
    }
    Ok(())
}
