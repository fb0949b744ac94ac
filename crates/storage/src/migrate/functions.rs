//! The SQL functions that this build calls: a set of its own for each text.
//!
//! The functions in `migrations/functions/` are put in place under names that carry a hash of the texts of all of them:
//! `append_batch_1a2b3c4d`. So a node calls the very functions that it was built with, whatever other nodes of the database were
//! built with, and whichever of them started last. Whether a set is in place is kept like any migration, in `_sqlx_migrations`.

use std::{fmt::Write as _, sync::LazyLock};

use sqlx::{
    AssertSqlSafe, Connection as _, PgConnection, Row as _, SqlSafeStr as _,
    migrate::{Migration, MigrationType},
};

use crate::StorageError;

/// A file of `migrations/functions/`: the function's name, and the statement that creates it under this name.
pub(super) type File = (&'static str, &'static str);

macro_rules! files {
    ($($name:ident),* $(,)?) => {
        &[$((
            stringify!($name),
            include_str!(concat!("../../../../migrations/functions/", stringify!($name), ".sql")),
        )),*]
    };
}

/// All functions. One that another one needs stands before it.
pub(super) const FILES: &[File] = files![
    extremities_max,
    forked_extremities,
    may_fork,
    append_batch,
    append_message,
    log_lock,
    log_publish,
];

/// The number from which the versions of sets count. Those of migrations, which are dates, are below it.
const VERSIONS_START: i64 = 9_000_000_000_000_000_000;

/// The time for which a set stays that no living node calls. A program that was stopped for longer makes its set anew
/// when it starts.
const UNUSED_KEPT: &str = "30 days";

/// Functions that were written for each other.
#[derive(Debug)]
pub(super) struct FunctionSet {
    /// The ending of the names of its functions.
    suffix: String,
    migration: Migration,
}

/// The set that this build calls.
pub(super) static OURS: LazyLock<FunctionSet> = LazyLock::new(|| FunctionSet::new(FILES));

impl FunctionSet {
    pub(super) fn new(files: &[File]) -> Self {
        let text: String = files.iter().map(|(_, text)| *text).collect();
        let hash = hash(&text);
        let suffix = format!("{hash:08x}");
        let sql = rename(&text, files, &suffix);
        let migration = Migration::new(
            VERSIONS_START + i64::from(hash),
            description(&suffix).into(),
            MigrationType::Simple,
            AssertSqlSafe(sql).into_sql_str(),
            false,
        );
        Self { suffix, migration }
    }

    /// The migration that puts it in place.
    pub(super) fn migration(&self) -> Migration {
        self.migration.clone()
    }

    /// The statement that calls a function of the set with parameters by name, as `$1` and so on.
    pub(super) fn call(&self, function: &str, parameters: &[&str]) -> String {
        let mut sql = format!("SELECT * FROM {function}_{}(", self.suffix);
        for (number, parameter) in (1..).zip(parameters) {
            let separator = if number == 1 { "" } else { ", " };
            // Writing to a string does not fail.
            let _ = write!(sql, "{separator}{parameter} => ${number}");
        }
        sql.push(')');
        sql
    }

    /// Note that the set is in use, and drop those that nobody has used for long. To be called under the lock of the node that migrates.
    pub(super) async fn drop_others(
        &self,
        connection: &mut PgConnection,
    ) -> Result<(), StorageError> {
        sqlx::query("UPDATE _sqlx_migrations SET installed_on = now() WHERE version = $1")
            .bind(self.migration.version)
            .execute(&mut *connection)
            .await?;
        let unused = sqlx::query(
            "SELECT version, description FROM _sqlx_migrations m
             WHERE version >= $1 AND installed_on < now() - $2::text::interval
                 AND NOT EXISTS (SELECT FROM nodes WHERE starts_with(m.description, nodes.functions))",
        )
        .bind(VERSIONS_START)
        .bind(UNUSED_KEPT)
        .fetch_all(&mut *connection)
        .await?;
        for set in unused {
            let description: String = set.try_get("description")?;
            let suffix = description.split(' ').next().unwrap_or_default();
            drop_set(connection, set.try_get("version")?, suffix).await?;
        }
        Ok(())
    }
}

/// The ending of the names of the functions that this build calls.
pub(crate) fn suffix() -> &'static str {
    &OURS.suffix
}

/// See [`FunctionSet::call`].
pub(crate) fn call(function: &str, parameters: &[&str]) -> String {
    OURS.call(function, parameters)
}

/// A query that calls a function of `migrations/functions/`: `call_function!(log_publish(kinds: &kinds, ..))`. What it gives back
/// are the columns of one row, named as the function's `OUT` parameters.
macro_rules! call_function {
    ($function:ident($($parameter:ident: $value:expr),* $(,)?)) => {{
        static SQL: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| {
            $crate::migrate::functions::call(stringify!($function), &[$(stringify!($parameter)),*])
        });
        sqlx::query(SQL.as_str())$(.bind($value))*
    }};
}
pub(crate) use call_function;

async fn drop_set(
    connection: &mut PgConnection,
    version: i64,
    suffix: &str,
) -> Result<(), StorageError> {
    let mut tx = connection.begin().await?;
    let functions: Option<String> = sqlx::query_scalar(
        "SELECT string_agg(oid::regprocedure::text, ', ') FROM pg_proc
         WHERE pronamespace = current_schema()::regnamespace AND proname LIKE '%\\_' || $1",
    )
    .bind(suffix)
    .fetch_one(&mut *tx)
    .await?;
    if let Some(functions) = functions {
        // The names come from the catalog, quoted where they must be.
        let sql = AssertSqlSafe(format!("DROP FUNCTION {functions}"));
        sqlx::raw_sql(sql).execute(&mut *tx).await?;
    }
    sqlx::query("DELETE FROM _sqlx_migrations WHERE version = $1")
        .bind(version)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    tracing::info!(suffix, "dropped SQL functions that nobody has used for long");
    Ok(())
}

/// Names a set's row in `_sqlx_migrations`: the suffix comes first.
fn description(suffix: &str) -> String {
    format!("{suffix} functions")
}

fn hash(text: &str) -> u32 {
    let text = AssertSqlSafe(text.to_owned()).into_sql_str();
    let checksum = Migration::new(0, "".into(), MigrationType::Simple, text, false).checksum;
    checksum.iter().take(size_of::<u32>()).fold(0, |hash, byte| hash << 8 | u32::from(*byte))
}

/// The text with every name of a function followed by the suffix, where the function is defined and where it is called.
fn rename(text: &str, files: &[File], suffix: &str) -> String {
    let mut renamed = String::with_capacity(text.len() * 2);
    let mut rest = text;
    while let Some(open) = rest.find('(') {
        let (before, after) = rest.split_at(open);
        let name = before.rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '_').next();
        renamed.push_str(before);
        if files.iter().any(|(function, _)| Some(*function) == name) {
            renamed.push('_');
            renamed.push_str(suffix);
        }
        renamed.push('(');
        rest = after.get(1..).unwrap_or_default();
    }
    renamed + rest
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn every_file_is_in_the_list_and_defines_its_function() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations/functions");
        let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
        let mut names: Vec<String> =
            files.map(|file| file.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
        let mut listed: Vec<&str> = FILES.iter().map(|(name, _)| *name).collect();
        names.sort_unstable();
        listed.sort_unstable();
        assert_eq!(names, listed);
        for (name, text) in FILES {
            assert!(text.contains(&format!("CREATE FUNCTION {name}(")), "{name}");
        }
    }

    #[test]
    fn names_are_followed_by_the_suffix_where_they_are_names() {
        let files = [("may_fork", ""), ("log", "")];
        let text = "CREATE FUNCTION may_fork(a text); -- as may_fork does\nSELECT may_fork(log(x), catalog(y))";
        assert_eq!(
            rename(text, &files, "1a"),
            "CREATE FUNCTION may_fork_1a(a text); -- as may_fork does\nSELECT may_fork_1a(log_1a(x), catalog(y))"
        );
    }

    #[test]
    fn another_text_is_another_set() {
        let sets = ["SELECT 1", "SELECT 2"].map(|text| FunctionSet::new(&[("f", text)]));
        assert_ne!(sets[0].suffix, sets[1].suffix);
        assert_eq!(
            sets[0].call("f", &["a", "b"]),
            format!("SELECT * FROM f_{}(a => $1, b => $2)", sets[0].suffix)
        );
    }
}
