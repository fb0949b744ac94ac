//! The versions of the program that may run on a schema: those that know a substitute for all that was taken away.
//!
//! A migration that takes something away is named `<timestamp>_contract_<known>_<change>.sql`: it suits versions that have the
//! migration `<known>`, whose timestamp it is, and no older ones.

use sqlx::{PgConnection, migrate::Migrator};

use crate::StorageError;

/// The first word of such a migration's description, which is its file's name without the timestamp.
const CONTRACT: &str = "contract ";

/// Refuse to start on a schema from which something was taken away that this version may still need.
pub(super) async fn check_may_run(
    migrator: &Migrator,
    connection: &mut PgConnection,
) -> Result<(), StorageError> {
    let is_new: bool = sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NULL")
        .fetch_one(&mut *connection)
        .await?;
    if is_new {
        return Ok(());
    }
    let contractions: Vec<String> = sqlx::query_scalar(
        "SELECT description FROM _sqlx_migrations WHERE starts_with(description, $1) ORDER BY version",
    )
    .bind(CONTRACT)
    .fetch_all(&mut *connection)
    .await?;
    for description in contractions {
        let needed = description.strip_prefix(CONTRACT).and_then(|rest| rest.split(' ').next());
        let needed = needed.and_then(|version| version.parse::<i64>().ok());
        // What cannot be read is known to no version before the one that wrote it.
        let is_known = needed.is_some_and(|needed| migrator.version_exists(needed));
        if !is_known {
            return Err(StorageError::TooOld { description });
        }
    }
    Ok(())
}
