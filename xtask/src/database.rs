//! Databases made for a moment, on the server that DATABASE_URL names.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Makes an empty database, has `work` do something with its URL, and drops it.
pub(crate) fn with_new<T>(
    purpose: &str,
    work: impl FnOnce(&str) -> Result<T, String>,
) -> Result<T, String> {
    let server = std::env::var("DATABASE_URL").map_err(|_| "DATABASE_URL is not set".to_owned())?;
    let name = format!("myelin_{purpose}_{}", std::process::id());
    psql(&server, &["-c", &format!("create database {name}")])?;
    let result = work(&with_database(&server, &name));
    psql(&server, &["-c", &format!("drop database {name} with (force)")])?;
    result
}

/// Runs all migrations, and puts the triggers in place.
pub(crate) fn migrate(root: &Path, database: &str) -> Result<(), String> {
    let files = sql_files(&root.join("migrations"))?;
    let migrations = files.iter().filter(|file| is_migration(file));
    let triggers = sql_files(&root.join("migrations/triggers"))?;
    migrations
        .chain(&triggers)
        .try_for_each(|file| psql(database, &["-f", &file.to_string_lossy()]))
}

/// The SQL files of a folder, by name.
pub(crate) fn sql_files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "sql"));
    files.sort();
    Ok(files)
}

/// Whether a file's name begins with the time of a migration.
pub(crate) fn is_migration(file: &Path) -> bool {
    file.file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with(|c: char| c.is_ascii_digit()))
}

/// `postgres://user@host/old?x=y` with another database name.
fn with_database(url: &str, name: &str) -> String {
    let (address, options) =
        url.split_once('?').map_or((url, None), |(address, options)| (address, Some(options)));
    let (scheme, rest) = address.split_once("://").unwrap_or(("postgres", address));
    let authority = rest.split('/').next().unwrap_or_default();
    let options = options.map(|options| format!("?{options}")).unwrap_or_default();
    format!("{scheme}://{authority}/{name}{options}")
}

/// Runs psql with the first error as the end.
pub(crate) fn psql(url: &str, arguments: &[&str]) -> Result<(), String> {
    let mut psql = Command::new("psql");
    psql.args(["-q", "-v", "ON_ERROR_STOP=1", "-d", url]).args(arguments).stdout(Stdio::null());
    output(&mut psql).map(drop)
}

/// The text that a program prints, or its error.
pub(crate) fn output(program: &mut Command) -> Result<String, String> {
    let output = program
        .stderr(Stdio::piped())
        .output()
        .map_err(|error| format!("{} does not run: {error}", program.get_program().display()))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_database_name_is_replaced() {
        let cases = [
            ("postgres://postgres@localhost:5433/dev", "postgres://postgres@localhost:5433/x"),
            (
                "postgres://postgres@localhost/postgres?host=/run/pg",
                "postgres://postgres@localhost/x?host=/run/pg",
            ),
            ("postgres://localhost", "postgres://localhost/x"),
        ];
        for (url, expected) in cases {
            assert_eq!(with_database(url, "x"), expected);
        }
    }
}
