//! Queries over `filters`.

use ruma::UserId;

use crate::{Db, StorageError, Tx};

/// Reads of filters.
#[derive(Debug, Clone, Copy)]
pub struct Filters<'db> {
    db: &'db Db,
}

impl Db {
    /// Filters.
    pub fn filters(&self) -> Filters<'_> {
        Filters { db: self }
    }
}

impl Filters<'_> {
    /// Find a filter by its number. A filter never changes.
    #[tracing::instrument(name = "db.filters.find", skip_all, fields(user.id = %user_id))]
    pub async fn find(
        &self,
        user_id: &UserId,
        filter_id: i64,
    ) -> Result<Option<String>, StorageError> {
        Ok(sqlx::query_scalar!(
            "SELECT content FROM filters WHERE user_id = $1 AND filter_id = $2",
            user_id.as_str(),
            filter_id
        )
        .fetch_optional(self.db.pool())
        .await?)
    }

    /// Find a user's filter by the hash of its content.
    #[tracing::instrument(name = "db.filters.find_id", skip_all, fields(user.id = %user_id))]
    pub async fn find_id(
        &self,
        user_id: &UserId,
        hash: &[u8],
    ) -> Result<Option<i64>, StorageError> {
        Ok(sqlx::query_scalar!(
            "SELECT filter_id FROM filters WHERE user_id = $1 AND hash = $2",
            user_id.as_str(),
            hash
        )
        .fetch_optional(self.db.pool())
        .await?)
    }
}

impl Tx {
    /// Filters.
    pub fn filters(&mut self) -> FiltersTx<'_> {
        FiltersTx { tx: self }
    }
}

/// Writes of filters.
#[derive(Debug)]
pub struct FiltersTx<'tx> {
    tx: &'tx mut Tx,
}

impl FiltersTx<'_> {
    /// Add a filter. Its number: the one it has if it is there already.
    #[tracing::instrument(name = "db.filters.add", skip_all, fields(user.id = %user_id))]
    pub async fn add(
        &mut self,
        user_id: &UserId,
        hash: &[u8],
        content: &str,
    ) -> Result<i64, StorageError> {
        // One at a time for each user, so that two do not take the same number.
        sqlx::query!(
            r#"SELECT pg_advisory_xact_lock(hashtextextended($1, 8)) AS "locked!: ()""#,
            user_id.as_str()
        )
        .fetch_one(&mut *self.tx.inner)
        .await?;
        Ok(sqlx::query_scalar!(
            r#"WITH added AS (
                   INSERT INTO filters (user_id, filter_id, hash, content)
                   SELECT $1, coalesce(max(filter_id) + 1, 0), $2, $3 FROM filters WHERE user_id = $1
                   ON CONFLICT (user_id, hash) DO NOTHING RETURNING filter_id)
               SELECT filter_id AS "filter_id!" FROM added
               UNION ALL SELECT filter_id FROM filters WHERE user_id = $1 AND hash = $2 LIMIT 1"#,
            user_id.as_str(),
            hash,
            content
        )
        .fetch_one(&mut *self.tx.inner)
        .await?)
    }
}
