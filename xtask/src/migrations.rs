//! The rules of migrations and of the SQL beside them. Part of `cargo xtask tidy`.

use std::{collections::BTreeMap, fs, path::Path};

use regex::Regex;
use sha2::{Digest as _, Sha256};

use crate::database;

/// The file of hashes: of each migration's text when it was written, and of each trigger's with its version.
const HASHES: &str = "migrations/hashes.tsv";

/// One line for each breach.
pub(crate) fn check(root: &Path) -> Vec<String> {
    let mut errors = vec![];
    match texts(root) {
        Ok(texts) => {
            check_hashes(&read_hashes(root), &texts, &mut errors);
            for (file, text) in &texts {
                check_indexes(file, text, &mut errors);
                check_contractions(file, text, &mut errors);
            }
        }
        Err(error) => errors.push(error),
    }
    for folder in ["migrations/functions", "migrations/triggers"] {
        let files = database::sql_files(&root.join(folder)).unwrap_or_default();
        for file in files {
            let text = fs::read_to_string(&file).unwrap_or_default();
            check_numbers(&shown(root, &file), &text, &mut errors);
        }
    }
    errors
}

/// Adds what is new. What was edited stays as it was, so that `check` tells it.
pub(crate) fn write_hashes(root: &Path) -> Vec<String> {
    let texts = match texts(root) {
        Ok(texts) => texts,
        Err(error) => return vec![error],
    };
    let mut hashes = read_hashes(root);
    for (file, text) in &texts {
        let new = Line::of(text);
        let old = hashes.entry(file.clone()).or_insert_with(|| new.clone());
        if old.version < new.version {
            *old = new;
        }
    }
    let lines: String = hashes
        .iter()
        .map(|(file, line)| format!("{file}\t{}\t{}\n", line.version, line.hash))
        .collect();
    let written = fs::write(root.join(HASHES), format!("file\tversion\tsha256\n{lines}"));
    written.err().map(|error| format!("{HASHES}: {error}")).into_iter().collect()
}

/// A line of the file of hashes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    /// A trigger's version. Migrations have none: 0.
    version: u32,
    hash: String,
}

impl Line {
    fn of(text: &str) -> Self {
        let first = text.lines().next().and_then(|line| line.strip_prefix("-- version "));
        let hash = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
        Self { version: first.and_then(|version| version.parse().ok()).unwrap_or_default(), hash }
    }
}

fn read_hashes(root: &Path) -> BTreeMap<String, Line> {
    let text = fs::read_to_string(root.join(HASHES)).unwrap_or_default();
    let line = |line: &str| {
        let mut fields = line.split('\t');
        let (file, version, hash) = (fields.next()?, fields.next()?, fields.next()?);
        Some((file.to_owned(), Line { version: version.parse().ok()?, hash: hash.to_owned() }))
    };
    text.lines().filter_map(line).collect()
}

/// The texts of all migrations and triggers, by their paths.
fn texts(root: &Path) -> Result<BTreeMap<String, String>, String> {
    let mut files = database::sql_files(&root.join("migrations"))?;
    files.retain(|file| database::is_migration(file));
    files.extend(database::sql_files(&root.join("migrations/triggers"))?);
    let read = |file: &Path| {
        let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()));
        text.map(|text| (shown(root, file), text))
    };
    files.iter().map(|file| read(file)).collect()
}

fn shown(root: &Path, file: &Path) -> String {
    file.strip_prefix(root).unwrap_or(file).display().to_string()
}

fn check_hashes(
    hashes: &BTreeMap<String, Line>,
    texts: &BTreeMap<String, String>,
    errors: &mut Vec<String>,
) {
    for (file, text) in texts {
        let now = Line::of(text);
        match hashes.get(file) {
            None => {
                errors.push(format!("{file}: is not in {HASHES}: run `cargo xtask schema`"));
            }
            Some(line) if *line == now => {}
            Some(line) if line.version < now.version => {
                errors.push(format!("{file}: is new in {HASHES}: run `cargo xtask schema`"));
            }
            Some(_) if now.version > 0 => errors.push(format!(
                "{file}: was changed under the same version: raise the number in its first line"
            )),
            Some(_) => errors.push(format!(
                "{file}: was changed. Databases have it as it was: make the next change in a file of its own"
            )),
        }
    }
    for file in hashes.keys().filter(|file| !texts.contains_key(*file)) {
        errors.push(format!("{file}: is gone, but databases have it: {HASHES}"));
    }
}

/// An index on a table that may be large already must be made while others write.
fn check_indexes(file: &str, text: &str, errors: &mut Vec<String>) {
    let (Ok(index), Ok(constraint)) = (
        Regex::new(
            r"(?mi)^\s*CREATE\s+(?:UNIQUE\s+)?INDEX\s+(?:IF\s+NOT\s+EXISTS\s+)?(?:\w+\s+)?ON\s+(?:ONLY\s+)?(\w+)",
        ),
        Regex::new(
            r"(?mi)^\s*ALTER\s+TABLE\s+(?:IF\s+EXISTS\s+)?(?:ONLY\s+)?(\w+)\b[^;]*?\bADD\b[^,;]*?\b(?:UNIQUE|PRIMARY\s+KEY|EXCLUDE)\b(\s+USING\s+INDEX)?",
        ),
    ) else {
        return;
    };
    let indexes = index.captures_iter(text).filter_map(|captures| captures.get(1));
    // A constraint that takes an index which is there already makes none.
    let constraints = constraint
        .captures_iter(text)
        .filter_map(|captures| captures.get(1).filter(|_| captures.get(2).is_none()));
    for table in indexes.chain(constraints).map(|table| table.as_str()) {
        if !text.contains(&format!("CREATE TABLE {table} ")) {
            errors.push(format!(
                "{file}: an index would keep everybody from writing to {table} while it is made: \
                 CREATE INDEX CONCURRENTLY, in a migration of its own (docs/recipes/add-a-table.md)"
            ));
        }
    }
}

/// A version that may be started on the schema must not miss anything that was taken away.
fn check_contractions(file: &str, text: &str, errors: &mut Vec<String>) {
    let Ok(taken) = Regex::new(r"(?mi)^[^-\n]*\b(DROP\s+(?:TABLE|COLUMN|FUNCTION|VIEW)|RENAME)\b")
    else {
        return;
    };
    let Ok(named) = Regex::new(r"/\d{14}_contract_\d{14}_\w+\.sql$") else { return };
    if file.starts_with("migrations/2") && taken.is_match(text) && !named.is_match(file) {
        errors.push(format!(
            "{file}: takes something away: name it <timestamp>_contract_<known>_<change>.sql (docs/recipes/add-a-table.md)"
        ));
    }
}

/// Numbers that mean something have names: 0 and 1 are the only ones that may stand for themselves in functions.
fn check_numbers(file: &str, text: &str, errors: &mut Vec<String>) {
    let (Ok(quoted), Ok(number)) = (Regex::new("'[^']*'"), Regex::new(r"(^|[^\w$.])(\d+)\b"))
    else {
        return;
    };
    for (place, line) in (1..).zip(text.lines()) {
        let code = line.split("--").next().unwrap_or_default();
        if code.contains(" CONSTANT ") || code.contains(" IMMUTABLE RETURN ") {
            continue;
        }
        let code = quoted.replace_all(code, "''");
        for captures in number.captures_iter(&code) {
            let number = captures.get(2).map_or("", |number| number.as_str());
            if !["0", "1"].contains(&number) {
                errors.push(format!(
                    "{file}:{place}: what does {number} mean? Give it a name: see {NUMBERS}"
                ));
            }
        }
    }
}

/// The migration that gives names to the numbers in columns.
const NUMBERS: &str = "migrations/20261101000000_numbers.sql";

/// The same in the statements of the storage crate, for the columns that hold such numbers.
pub(crate) fn check_statements(file: &Path, text: &str, errors: &mut Vec<String>) {
    if !file.starts_with("crates/storage/src") {
        return;
    }
    let number = Regex::new(
        r"\b(kind|membership|flags)\s*(=|<>|!=|<=|>=|<|>|&|IN|NOT IN|= ANY)\s*\(?\s*~?\d",
    );
    let Ok(number) = number else { return };
    for (place, line) in (1..).zip(text.lines()) {
        if number.is_match(line) {
            errors.push(format!(
                "{}:{place}: a number that means something: use its name, see {NUMBERS}",
                file.display()
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(check: impl FnOnce(&mut Vec<String>)) -> usize {
        let mut errors = vec![];
        check(&mut errors);
        errors.len()
    }

    #[test]
    fn an_edited_migration_is_told() {
        let of = |texts: &[(&str, &str)]| -> BTreeMap<String, String> {
            texts.iter().map(|(file, text)| ((*file).to_owned(), (*text).to_owned())).collect()
        };
        let then = of(&[("1.sql", "a"), ("t.sql", "-- version 1\na")]);
        let hashes: BTreeMap<String, Line> =
            then.iter().map(|(file, text)| (file.clone(), Line::of(text))).collect();
        let cases: [(&[(&str, &str)], usize); 5] = [
            (&[("1.sql", "a"), ("t.sql", "-- version 1\na")], 0),
            (&[("1.sql", "b"), ("t.sql", "-- version 1\na")], 1),
            (&[("1.sql", "a"), ("t.sql", "-- version 1\nb")], 1),
            (&[("t.sql", "-- version 1\na")], 1),
            (&[("1.sql", "a"), ("2.sql", "a"), ("t.sql", "-- version 1\na")], 1),
        ];
        for (now, expected) in cases {
            assert_eq!(
                errors(|errors| check_hashes(&hashes, &of(now), errors)),
                expected,
                "{now:?}"
            );
        }
    }

    #[test]
    fn indexes_that_block_are_told() {
        for (text, expected) in [
            ("CREATE TABLE a (b text);\nCREATE INDEX a_b ON a (b);", 0),
            ("CREATE INDEX a_b ON a (b);", 1),
            ("CREATE UNIQUE INDEX a_b ON a (b);", 1),
            ("CREATE INDEX CONCURRENTLY IF NOT EXISTS a_b ON a (b);", 0),
            ("CREATE INDEX IF NOT EXISTS a_b ON a (b);", 1),
            ("create index on a (b);", 1),
            ("ALTER TABLE a ADD CONSTRAINT a_b UNIQUE (b);", 1),
            ("ALTER TABLE a\n    ADD PRIMARY KEY (b);", 1),
            ("ALTER TABLE a ADD COLUMN c bigint UNIQUE;", 1),
            ("ALTER TABLE a ADD CONSTRAINT a_b UNIQUE USING INDEX a_b;", 0),
            ("ALTER TABLE a ADD COLUMN c bigint;", 0),
        ] {
            assert_eq!(errors(|errors| check_indexes("1.sql", text, errors)), expected, "{text}");
        }
    }

    #[test]
    fn what_takes_something_away_says_what_must_be_known() {
        let (plain, named) = (
            "migrations/20270101000000_drop_a.sql",
            "migrations/20270101000000_contract_20261201000000_drop_a.sql",
        );
        for (file, text, expected) in [
            (plain, "ALTER TABLE a DROP COLUMN b;", 1),
            (plain, "DROP TABLE a;", 1),
            (plain, "ALTER TABLE a RENAME b TO c;", 1),
            (plain, "-- what DROP TABLE would do\nALTER TABLE a ADD COLUMN b bigint;", 0),
            (named, "DROP TABLE a;", 0),
        ] {
            assert_eq!(errors(|errors| check_contractions(file, text, errors)), expected, "{text}");
        }
    }

    #[test]
    fn bare_numbers_are_told() {
        for (text, expected) in [
            ("SELECT base + n + place, 2, room", 1),
            ("e.flags & ~8::smallint", 1),
            ("SELECT 1 WHERE x > 0 -- not 7", 0),
            ("SELECT $12, e2, 'x 5'", 0),
            ("    id_max CONSTANT integer := 255;", 0),
            ("CREATE FUNCTION f() RETURNS integer LANGUAGE sql IMMUTABLE RETURN 20;", 0),
        ] {
            assert_eq!(errors(|errors| check_numbers("f.sql", text, errors)), expected, "{text}");
        }
        for (text, expected) in [
            ("WHERE kind = 7 AND", 1),
            ("membership IN (1, 2)", 1),
            ("flags & ~8", 1),
            ("flags & $4 < 1", 0),
            ("membership = membership_join()", 0),
        ] {
            let file = Path::new("crates/storage/src/a.rs");
            assert_eq!(errors(|errors| check_statements(file, text, errors)), expected, "{text}");
        }
    }
}
