//! Queries over `threepids`.

use ruma::{OwnedUserId, UserId};

use super::from_sql_ts;
use crate::{Db, StorageError, Tx};

/// An e-mail address or telephone number of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Threepid {
    /// The kind of address: `email` or `msisdn`.
    pub medium: String,
    /// The address in its canonical form.
    pub address: String,
    /// The time at which it was shown to be the user's, in milliseconds since the epoch.
    pub validated_ts: u64,
    /// The time at which it was added to the account, in milliseconds since the epoch.
    pub added_ts: u64,
}

/// Reads of third-party identifiers.
#[derive(Debug, Clone, Copy)]
pub struct Threepids<'db> {
    db: &'db Db,
}

impl Db {
    /// Third-party identifiers.
    pub fn threepids(&self) -> Threepids<'_> {
        Threepids { db: self }
    }
}

impl Threepids<'_> {
    /// The third-party identifiers of a user.
    #[tracing::instrument(name = "db.threepids.list", skip_all, fields(user.id = %user_id))]
    pub async fn list(&self, user_id: &UserId) -> Result<Vec<Threepid>, StorageError> {
        let rows = sqlx::query!(
            "SELECT medium, address, validated_ts, added_ts FROM threepids WHERE user_id = $1 ORDER BY added_ts",
            user_id.as_str()
        )
        .fetch_all(self.db.pool())
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| Threepid {
                medium: row.medium,
                address: row.address,
                validated_ts: from_sql_ts(row.validated_ts),
                added_ts: from_sql_ts(row.added_ts),
            })
            .collect())
    }

    /// Find whose a third-party identifier is.
    #[tracing::instrument(name = "db.threepids.find_user", skip_all)]
    pub async fn find_user(
        &self,
        medium: &str,
        address: &str,
    ) -> Result<Option<OwnedUserId>, StorageError> {
        let user = sqlx::query_scalar!(
            "SELECT user_id FROM threepids WHERE medium = $1 AND address = $2",
            medium,
            address
        )
        .fetch_optional(self.db.pool())
        .await?;
        user.map(OwnedUserId::try_from)
            .transpose()
            .map_err(StorageError::inconsistent("threepids.user_id"))
    }
}

impl Tx {
    /// Third-party identifiers.
    pub fn threepids(&mut self) -> ThreepidsTx<'_> {
        ThreepidsTx { tx: self }
    }
}

/// Writes of third-party identifiers.
#[derive(Debug)]
pub struct ThreepidsTx<'tx> {
    tx: &'tx mut Tx,
}

impl ThreepidsTx<'_> {
    /// Take a third-party identifier from its user.
    #[tracing::instrument(name = "db.threepids.delete", skip_all, fields(user.id = %user_id))]
    pub async fn delete(
        &mut self,
        user_id: &UserId,
        medium: &str,
        address: &str,
    ) -> Result<(), StorageError> {
        sqlx::query!(
            "DELETE FROM threepids WHERE user_id = $1 AND medium = $2 AND address = $3",
            user_id.as_str(),
            medium,
            address
        )
        .execute(&mut *self.tx.inner)
        .await?;
        Ok(())
    }

    /// Take all third-party identifiers from a user.
    #[tracing::instrument(name = "db.threepids.delete_all", skip_all, fields(user.id = %user_id))]
    pub async fn delete_all(&mut self, user_id: &UserId) -> Result<(), StorageError> {
        sqlx::query!("DELETE FROM threepids WHERE user_id = $1", user_id.as_str())
            .execute(&mut *self.tx.inner)
            .await?;
        Ok(())
    }
}
