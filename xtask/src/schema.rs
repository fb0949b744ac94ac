//! `cargo xtask schema [--check]`: writes `migrations/schema.sql`, the schema as it is after all migrations, and adds new migrations to
//! `migrations/hashes.tsv`. Needs DATABASE_URL to point to a PostgreSQL server where databases may be created, and its programs.

use std::{fs, path::Path, process::Command};

use crate::{database, migrations};

const FILE: &str = "migrations/schema.sql";
const HEAD: &str = "\
-- The schema after all migrations, with its triggers, to be read. The functions that nodes call are in migrations/functions/.
-- Written by `cargo xtask schema`.

";

/// Writes both files.
pub(crate) fn write() -> Vec<String> {
    let root = crate::root();
    let schema = database::with_new("schema", |url| {
        database::migrate(&root, url)?;
        dump(url)
    });
    let write = |schema: String| {
        let text = format!("{HEAD}{schema}");
        fs::write(root.join(FILE), text).map_err(|error| format!("{FILE}: {error}"))
    };
    let errors = schema.and_then(write).err().into_iter();
    errors.chain(migrations::write_hashes(&root)).collect()
}

/// Whether the file is what the migrations make. Both are dumped by the same program: another version of it may write otherwise.
pub(crate) fn check() -> Vec<String> {
    let root = crate::root();
    match (migrated(&root), written(&root)) {
        (Ok(migrated), Ok(written)) if migrated == written => vec![],
        (Ok(_), Ok(_)) => {
            vec![format!("{FILE} is not what the migrations make: run `cargo xtask schema`")]
        }
        (migrated, written) => [migrated.err(), written.err()].into_iter().flatten().collect(),
    }
}

fn migrated(root: &Path) -> Result<String, String> {
    database::with_new("schema", |url| {
        database::migrate(root, url)?;
        dump(url)
    })
}

fn written(root: &Path) -> Result<String, String> {
    database::with_new("schema", |url| {
        database::psql(url, &["-f", &root.join(FILE).to_string_lossy()])?;
        dump(url)
    })
}

/// The schema of a database, without what depends on the program that dumps it.
fn dump(url: &str) -> Result<String, String> {
    let mut program = Command::new("pg_dump");
    program.args(["--schema-only", "--no-owner", "--no-privileges", "-d", url]);
    Ok(tidy(&database::output(&mut program)?))
}

/// A dump without comments, settings and empty lines that follow each other.
fn tidy(dump: &str) -> String {
    let left_out = ["--", "SET ", "SELECT pg_catalog.set_config", "\\restrict", "\\unrestrict"];
    let mut text = String::with_capacity(dump.len());
    for line in dump.lines().filter(|line| !left_out.iter().any(|start| line.starts_with(start))) {
        if !line.is_empty() || !(text.is_empty() || text.ends_with("\n\n")) {
            text.push_str(line);
            text.push('\n');
        }
    }
    text.truncate(text.trim_end().len());
    text + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dump_is_left_with_its_statements() {
        let dump = "--\n-- PostgreSQL\n--\n\n\\restrict x\nSET jit = off;\n\n\nCREATE TABLE a (\n    b text\n);\n\n\nCREATE X;\n\n";
        assert_eq!(tidy(dump), "CREATE TABLE a (\n    b text\n);\n\nCREATE X;\n");
    }
}
