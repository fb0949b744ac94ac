//! Queries over `registration_tokens`.

use super::to_sql_ts;
use crate::{Db, StorageError, Tx};

/// Reads of registration tokens.
#[derive(Debug, Clone, Copy)]
pub struct RegistrationTokens<'db> {
    db: &'db Db,
}

impl Db {
    /// Registration tokens.
    pub fn registration_tokens(&self) -> RegistrationTokens<'_> {
        RegistrationTokens { db: self }
    }
}

impl RegistrationTokens<'_> {
    /// Whether a registration token may be used once more at `now_ms`.
    #[tracing::instrument(name = "db.registration_tokens.is_valid", skip_all)]
    pub async fn is_valid(&self, token: &str, now_ms: u64) -> Result<bool, StorageError> {
        Ok(sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT 1 FROM registration_tokens WHERE token = $1
                  AND (expires_ts IS NULL OR expires_ts > $2)
                  AND (uses_allowed IS NULL OR pending + completed < uses_allowed)) AS "valid!""#,
            token,
            to_sql_ts(now_ms)
        )
        .fetch_one(self.db.pool())
        .await?)
    }
}

impl Tx {
    /// Registration tokens.
    pub fn registration_tokens(&mut self) -> RegistrationTokensTx<'_> {
        RegistrationTokensTx { tx: self }
    }
}

/// Writes of registration tokens.
#[derive(Debug)]
pub struct RegistrationTokensTx<'tx> {
    tx: &'tx mut Tx,
}

impl RegistrationTokensTx<'_> {
    /// Add a token. False if there is one of this name.
    #[tracing::instrument(name = "db.registration_tokens.add", skip_all)]
    pub async fn add(
        &mut self,
        token: &str,
        uses_allowed: Option<i64>,
        expires_ts: Option<u64>,
    ) -> Result<bool, StorageError> {
        let done = sqlx::query!(
            "INSERT INTO registration_tokens (token, uses_allowed, expires_ts) VALUES ($1, $2, $3)
             ON CONFLICT DO NOTHING",
            token,
            uses_allowed,
            expires_ts.map(to_sql_ts)
        )
        .execute(&mut *self.tx.inner)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Set aside a use for a registration that is not complete. False if there is none left.
    #[tracing::instrument(name = "db.registration_tokens.reserve", skip_all)]
    pub async fn reserve(&mut self, token: &str, now_ms: u64) -> Result<bool, StorageError> {
        let done = sqlx::query!(
            "UPDATE registration_tokens SET pending = pending + 1 WHERE token = $1
             AND (expires_ts IS NULL OR expires_ts > $2)
             AND (uses_allowed IS NULL OR pending + completed < uses_allowed)",
            token,
            to_sql_ts(now_ms)
        )
        .execute(&mut *self.tx.inner)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Give back a use that was set aside.
    #[tracing::instrument(name = "db.registration_tokens.give_back", skip_all)]
    pub async fn give_back(&mut self, token: &str) -> Result<(), StorageError> {
        sqlx::query!(
            "UPDATE registration_tokens SET pending = greatest(pending - 1, 0) WHERE token = $1",
            token
        )
        .execute(&mut *self.tx.inner)
        .await?;
        Ok(())
    }

    /// A registration is complete.
    #[tracing::instrument(name = "db.registration_tokens.complete", skip_all)]
    pub async fn complete(&mut self, token: &str) -> Result<(), StorageError> {
        sqlx::query!(
            "UPDATE registration_tokens SET pending = greatest(pending - 1, 0), completed = completed + 1
             WHERE token = $1",
            token
        )
        .execute(&mut *self.tx.inner)
        .await?;
        Ok(())
    }
}
