//! What can go wrong below.

/// The database failed, or held something it must not hold.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The driver or the server reported an error.
    #[error("database error")]
    Driver(#[from] sqlx::Error),

    /// The schema could not be brought up to date.
    #[error("could not migrate the database")]
    Migrate(#[from] sqlx::migrate::MigrateError),

    /// A stored value does not parse. This is a bug or a damaged row.
    #[error("{column} holds an invalid value")]
    Inconsistent {
        /// Where the value was read, as `table.column`.
        column: &'static str,
        /// Why it does not parse.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },

    /// The node is stopping, or its log has failed: nothing more is written.
    #[error("the server is stopping")]
    Stopping,
}

impl StorageError {
    /// For `map_err`: what was read from `column` and parsed by a layer above does not parse.
    pub fn foreign<E: Into<Box<dyn std::error::Error + Send + Sync>>>(
        column: &'static str,
    ) -> impl FnOnce(E) -> Self {
        Self::inconsistent(column)
    }

    /// For `map_err`: a value of `column` that does not parse.
    pub(crate) fn inconsistent<E: Into<Box<dyn std::error::Error + Send + Sync>>>(
        column: &'static str,
    ) -> impl FnOnce(E) -> Self {
        move |error| Self::Inconsistent { column, source: error.into() }
    }

    /// Whether the statement broke a unique constraint: somebody else was first.
    pub fn is_unique_violation(&self) -> bool {
        match self {
            Self::Driver(error) => {
                error.as_database_error().is_some_and(|error| error.is_unique_violation())
            }
            Self::Migrate(_) | Self::Inconsistent { .. } | Self::Stopping => false,
        }
    }
}
