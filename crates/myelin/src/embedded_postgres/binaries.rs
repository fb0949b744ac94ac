//! Finds the system's PostgreSQL programs.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, bail};

/// Oldest major version that will do.
const MAJOR_MIN: u32 = 13;

/// A folder with `postgres` and `initdb`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binaries {
    pub directory: PathBuf,
    /// Its major version: 15, 17, ...
    pub major: u32,
    /// The whole version, for messages.
    pub version: String,
}

impl Binaries {
    /// Finds the programs for data of a major version, or the newest if there are no data yet.
    ///
    /// # Errors
    ///
    /// Tells what to install.
    pub fn find(
        configured: Option<&Path>,
        data_major: Option<u32>,
        data: &Path,
    ) -> anyhow::Result<Binaries> {
        let found: Vec<Binaries> = match configured {
            Some(directory) => vec![inspect(directory).with_context(|| {
                format!(
                    "myelin.embedded_postgres.bin_directory: no `postgres` and `initdb` in {}",
                    directory.display()
                )
            })?],
            None => candidates().iter().filter_map(|directory| inspect(directory)).collect(),
        };
        // The first of equals: its own folder comes before links in PATH.
        let newest = found
            .iter()
            .filter(|one| one.major >= MAJOR_MIN)
            .min_by_key(|one| std::cmp::Reverse(one.major));
        let Some(newest) = newest else {
            bail!(
                "no PostgreSQL {MAJOR_MIN} or newer on this system, which the embedded database needs. Install it \
                 (Debian: `apt install postgresql`), name its folder in myelin.embedded_postgres.bin_directory, or \
                 give a `database` in the config"
            );
        };
        let Some(data_major) = data_major else { return Ok(newest.clone()) };
        found.iter().find(|one| one.major == data_major).cloned().with_context(|| {
            format!(
                "the data in {} are of PostgreSQL {data_major}, but this system has {}. Install PostgreSQL \
                 {data_major} again, or carry the data over with pg_upgrade; nothing was changed",
                data.display(),
                newest.major
            )
        })
    }

    /// The path of a program.
    pub fn program(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

fn candidates() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for parent in [
        "/usr/lib/postgresql",
        "/usr/libexec/postgresql",
        "/opt/homebrew/opt",
        "/usr/local/opt",
        "/usr",
    ] {
        let Ok(entries) = std::fs::read_dir(parent) else { continue };
        found.extend(entries.filter_map(|entry| Some(entry.ok()?.path().join("bin"))));
    }
    found.push("/usr/local/pgsql/bin".into());
    if let Ok(output) = Command::new("pg_config").arg("--bindir").output() {
        found.push(String::from_utf8_lossy(&output.stdout).trim().into());
    }
    if let Some(path) = std::env::var_os("PATH") {
        found.extend(std::env::split_paths(&path));
    }
    found.retain(|directory| {
        directory.join("initdb").is_file() && directory.join("postgres").is_file()
    });
    found
}

fn inspect(directory: &Path) -> Option<Binaries> {
    if !directory.join("initdb").is_file() {
        return None;
    }
    let output = Command::new(directory.join("postgres")).arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    // `postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)`
    let version = text
        .split_whitespace()
        .find(|word| word.starts_with(|first: char| first.is_ascii_digit()))?;
    let digits: String = version.chars().take_while(char::is_ascii_digit).collect();
    Some(Binaries {
        directory: directory.to_owned(),
        major: digits.parse().ok()?,
        version: version.to_owned(),
    })
}
