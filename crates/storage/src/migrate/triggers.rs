//! Triggers: the same for all nodes of a database, so the newest version stands.
//!
//! A file of `migrations/triggers/` says its version in its first line. A node that knows a newer version than the one in place puts
//! it there; one that knows an older one leaves it. So nodes of the last version run with it, too, and it must be right for them.

use sqlx::{
    AssertSqlSafe, SqlSafeStr as _,
    migrate::{Migration, MigrationType},
};

/// A file of `migrations/triggers/`: the trigger's name, and the statements that create or replace it.
pub(super) type File = (&'static str, &'static str);

/// All triggers.
pub(super) const FILES: &[File] = &[(
    "events_add_relation",
    include_str!("../../../../migrations/triggers/events_add_relation.sql"),
)];

/// The number from which the versions of triggers count. Those of migrations, which are dates, are below it.
const VERSIONS_START: i64 = 8_000_000_000_000_000_000;

/// The number of versions that a trigger may have.
const VERSIONS_MAX: i64 = 1_000_000;

/// The migrations that put the triggers in place.
pub(super) fn migrations(files: &[File]) -> impl Iterator<Item = Migration> {
    (0..).zip(files).map(|(number, (name, text))| {
        let version = version(text);
        Migration::new(
            VERSIONS_START + number * VERSIONS_MAX + i64::from(version),
            format!("trigger {name}").into(),
            MigrationType::Simple,
            AssertSqlSafe(unless_newer(name, version, text)).into_sql_str(),
            false,
        )
    })
}

/// The version in the first line: `-- version 3`.
fn version(text: &str) -> u32 {
    let first = text.lines().next().unwrap_or_default();
    first.strip_prefix("-- version ").and_then(|version| version.parse().ok()).unwrap_or_default()
}

/// The statements, run only where no newer version of the trigger is in place.
fn unless_newer(name: &str, version: u32, text: &str) -> String {
    format!(
        "DO $unless_newer$ BEGIN
            IF NOT EXISTS (SELECT FROM triggers WHERE name = '{name}' AND version > {version}) THEN
                EXECUTE $trigger$ {text} $trigger$;
                INSERT INTO triggers (name, version) VALUES ('{name}', {version})
                ON CONFLICT (name) DO UPDATE SET version = EXCLUDED.version;
            END IF;
        END $unless_newer$"
    )
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn every_file_is_in_the_list_and_has_a_version() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations/triggers");
        assert_eq!(fs::read_dir(folder).unwrap().count(), FILES.len());
        for (name, text) in FILES {
            assert!(version(text) > 0, "{name}");
            assert!(text.contains(&format!("CREATE OR REPLACE TRIGGER {name} ")), "{name}");
        }
    }
}
