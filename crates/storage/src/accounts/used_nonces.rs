//! Queries over `used_nonces`.

use super::to_sql_ts;
use crate::{StorageError, Tx};

/// Writes of used nonces.
#[derive(Debug)]
pub struct UsedNoncesTx<'tx> {
    tx: &'tx mut Tx,
}

impl Tx {
    /// Nonces that are used up.
    pub fn used_nonces(&mut self) -> UsedNoncesTx<'_> {
        UsedNoncesTx { tx: self }
    }
}

impl UsedNoncesTx<'_> {
    /// Use up a nonce that runs out at `expires_ts`, in milliseconds since the epoch. False if it was used before, on any
    /// node. Those that have run out at `now_ms` are forgotten.
    #[tracing::instrument(name = "db.used_nonces.add", skip_all)]
    pub async fn add(
        &mut self,
        nonce: &str,
        expires_ts: u64,
        now_ms: u64,
    ) -> Result<bool, StorageError> {
        let done = sqlx::query!(
            "WITH old AS (DELETE FROM used_nonces WHERE expires_ts <= $3 AND nonce <> $1)
             INSERT INTO used_nonces (nonce, expires_ts) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            nonce,
            to_sql_ts(expires_ts),
            to_sql_ts(now_ms)
        )
        .execute(&mut *self.tx.inner)
        .await?;
        Ok(done.rows_affected() == 1)
    }
}
