//! Queries over `pushers`.

use ruma::{DeviceId, UserId};
use serde_json::value::RawValue;

use crate::{Db, StorageError, Tx};

/// A pusher to be stored.
#[derive(Debug)]
pub struct Pusher<'a> {
    /// The user who is to be notified.
    pub user_id: &'a UserId,
    /// The app it is for.
    pub app_id: &'a str,
    /// Its name for the push gateway.
    pub pushkey: &'a str,
    /// The device that set it.
    pub device_id: Option<&'a DeviceId>,
    /// The pusher as its client sees it, as JSON.
    pub content: &'a str,
}

/// Reads of pushers.
#[derive(Debug, Clone, Copy)]
pub struct Pushers<'db> {
    db: &'db Db,
}

impl Db {
    /// Pushers.
    pub fn pushers(&self) -> Pushers<'_> {
        Pushers { db: self }
    }
}

impl Pushers<'_> {
    /// The pushers of a user, as their clients see them.
    #[tracing::instrument(name = "db.pushers.list", skip_all, fields(user.id = %user_id))]
    pub async fn list(&self, user_id: &UserId) -> Result<Vec<Box<RawValue>>, StorageError> {
        let rows = sqlx::query_scalar!(
            "SELECT content FROM pushers WHERE user_id = $1 ORDER BY app_id, pushkey",
            user_id.as_str()
        )
        .fetch_all(self.db.pool())
        .await?;
        let contents = rows.into_iter().map(|content| {
            RawValue::from_string(content).map_err(StorageError::inconsistent("pushers.content"))
        });
        Ok(contents.filter_map(|content| self.db.pool().readable(content)).collect())
    }
}

impl Tx {
    /// Pushers.
    pub fn pushers(&mut self) -> PushersTx<'_> {
        PushersTx { tx: self }
    }
}

/// Writes of pushers.
#[derive(Debug)]
pub struct PushersTx<'tx> {
    tx: &'tx mut Tx,
}

impl PushersTx<'_> {
    /// Set a pusher. Unless `append`, other users' pushers of the same app and key are deleted. False if the user has `count_max`
    /// others.
    #[tracing::instrument(name = "db.pushers.set", skip_all, fields(user.id = %pusher.user_id))]
    pub async fn set(
        &mut self,
        pusher: &Pusher<'_>,
        append: bool,
        count_max: i64,
    ) -> Result<bool, StorageError> {
        if !append {
            sqlx::query!(
                "DELETE FROM pushers WHERE app_id = $1 AND pushkey = $2 AND user_id <> $3",
                pusher.app_id,
                pusher.pushkey,
                pusher.user_id.as_str()
            )
            .execute(&mut *self.tx.inner)
            .await?;
        }
        let done = sqlx::query!(
            "INSERT INTO pushers (user_id, app_id, pushkey, device_id, content)
             SELECT $1, $2, $3, $4, $5
             WHERE (SELECT count(*) FROM pushers WHERE user_id = $1 AND (app_id, pushkey) <> ($2, $3)) < $6
             ON CONFLICT (user_id, app_id, pushkey) DO UPDATE
             SET device_id = excluded.device_id, content = excluded.content",
            pusher.user_id.as_str(),
            pusher.app_id,
            pusher.pushkey,
            pusher.device_id.map(DeviceId::as_str),
            pusher.content,
            count_max
        )
        .execute(&mut *self.tx.inner)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Delete a pusher.
    #[tracing::instrument(name = "db.pushers.delete", skip_all, fields(user.id = %user_id))]
    pub async fn delete(
        &mut self,
        user_id: &UserId,
        app_id: &str,
        pushkey: &str,
    ) -> Result<(), StorageError> {
        sqlx::query!(
            "DELETE FROM pushers WHERE user_id = $1 AND app_id = $2 AND pushkey = $3",
            user_id.as_str(),
            app_id,
            pushkey
        )
        .execute(&mut *self.tx.inner)
        .await?;
        Ok(())
    }
}
