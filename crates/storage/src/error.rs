//! The errors of storage. Nothing here logs what it returns: who answers a request, or gives something up, logs the failure.

use std::panic::Location;

/// The codes by which PostgreSQL refuses a NUL character, in text and in JSON (`character_not_in_repertoire`,
/// `untranslatable_character`).
const UNSTORABLE_TEXT_CODES: [&str; 2] = ["22021", "22P05"];

/// The database failed, or held something it must not hold.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The driver or the server reported an error.
    #[error("database error at {at}")]
    Driver {
        /// The error.
        source: sqlx::Error,
        /// The place in the code where it came up. The error itself seldom says which statement failed.
        at: &'static Location<'static>,
    },

    /// The schema could not be brought up to date.
    #[error("could not migrate the database")]
    Migrate(#[from] sqlx::migrate::MigrateError),

    /// A newer version of the program has taken something away from the schema that this one may need.
    #[error(
        "this version is too old for the database, which a newer one has changed ({description}): run that version or a newer one, or restore the backup from before the upgrade"
    )]
    TooOld {
        /// The change, by the name of its migration.
        description: String,
    },

    /// A stored value does not parse. This is a bug or a damaged row.
    #[error("{column} holds an invalid value")]
    Inconsistent {
        /// The place where the value was read, as `table.column`.
        column: &'static str,
        /// The reason why it does not parse.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },

    /// The node is stopping, or its log has failed: nothing more is written.
    #[error("the server is stopping")]
    Stopping,
}

impl StorageError {
    /// The error, for `map_err`, of a value that was read from `column` and does not parse in a layer above.
    pub fn foreign<E: Into<Box<dyn std::error::Error + Send + Sync>>>(
        column: &'static str,
    ) -> impl FnOnce(E) -> Self {
        Self::inconsistent(column)
    }

    /// The error, for `map_err`, of a value of `column` that does not parse.
    pub(crate) fn inconsistent<E: Into<Box<dyn std::error::Error + Send + Sync>>>(
        column: &'static str,
    ) -> impl FnOnce(E) -> Self {
        move |error| Self::Inconsistent { column, source: error.into() }
    }

    /// Whether the connection broke or there was none: the database restarts, or cannot be reached.
    pub(crate) fn is_connection_failure(&self) -> bool {
        match self {
            Self::Driver { source, .. } => is_connection_failure(source),
            Self::Migrate(_) | Self::TooOld { .. } | Self::Inconsistent { .. } | Self::Stopping => {
                false
            }
        }
    }

    /// Whether a lock was not free in time.
    pub(crate) fn is_lock_timeout(&self) -> bool {
        match self {
            Self::Driver { source, .. } => is_lock_timeout(source),
            Self::Migrate(_) | Self::TooOld { .. } | Self::Inconsistent { .. } | Self::Stopping => {
                false
            }
        }
    }

    /// Whether the statement was given text that PostgreSQL does not take: text with a NUL character in it. Nothing else is
    /// unstorable, as Rust's text is always UTF-8.
    pub fn is_unstorable_text(&self) -> bool {
        match self {
            Self::Driver { source, .. } => {
                let code = source.as_database_error().and_then(|error| error.code());
                code.is_some_and(|code| UNSTORABLE_TEXT_CODES.contains(&&*code))
            }
            Self::Migrate(_) | Self::TooOld { .. } | Self::Inconsistent { .. } | Self::Stopping => {
                false
            }
        }
    }

    /// Whether the statement broke a unique constraint: somebody else was first.
    pub fn is_unique_violation(&self) -> bool {
        match self {
            Self::Driver { source, .. } => {
                source.as_database_error().is_some_and(|error| error.is_unique_violation())
            }
            Self::Migrate(_) | Self::TooOld { .. } | Self::Inconsistent { .. } | Self::Stopping => {
                false
            }
        }
    }
}

impl From<sqlx::Error> for StorageError {
    #[track_caller]
    fn from(source: sqlx::Error) -> Self {
        Self::Driver { source, at: Location::caller() }
    }
}

/// PostgreSQL's code for a lock that was not free in time.
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// PostgreSQL's codes for a server that was shut down by an admin, has crashed or is starting up, and for exceptions of connections.
const UNAVAILABLE: [&str; 2] = ["57P0", "08"];

/// See [`StorageError::is_connection_failure`].
pub(crate) fn is_connection_failure(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::Protocol(_) => true,
        sqlx::Error::Database(error) => error
            .code()
            .is_some_and(|code| UNAVAILABLE.iter().any(|prefix| code.starts_with(prefix))),
        _ => false,
    }
}

/// See [`StorageError::is_lock_timeout`].
pub(crate) fn is_lock_timeout(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .is_some_and(|error| error.code().as_deref() == Some(LOCK_NOT_AVAILABLE))
}
