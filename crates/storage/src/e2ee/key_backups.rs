//! Queries over `key_backups` and `key_backup_keys`.

use ruma::UserId;
use serde_json::value::RawValue;

use crate::{Db, StorageError, Tx};

/// A row of `key_backups` that is not deleted.
#[derive(Debug)]
pub struct KeyBackup {
    /// The backup's number among those of its user.
    pub version: i64,
    /// The algorithm by which clients encrypt its keys.
    pub algorithm: String,
    /// The data that the algorithm needs.
    pub auth_data: Box<RawValue>,
    /// The number of times that its keys changed.
    pub etag: i64,
    /// The number of its keys.
    pub keys_count: i64,
}

/// A row of `key_backup_keys`.
#[derive(Debug, Clone)]
pub struct BackedUpKey {
    pub room_id: String,
    pub session_id: String,
    /// The index of the first message that the key decrypts.
    pub first_message_index: i64,
    /// The number of times that the key was passed on between devices.
    pub forwarded_count: i64,
    /// The client has verified the device that the key comes from.
    pub is_verified: bool,
    /// The encrypted key, as JSON.
    pub session_data: String,
}

struct BackupRow {
    version: i64,
    algorithm: String,
    auth_data: String,
    etag: i64,
    keys_count: i64,
}

impl BackupRow {
    fn read(self) -> Result<KeyBackup, StorageError> {
        let auth_data = RawValue::from_string(self.auth_data);
        Ok(KeyBackup {
            version: self.version,
            algorithm: self.algorithm,
            auth_data: auth_data.map_err(StorageError::inconsistent("key_backups.auth_data"))?,
            etag: self.etag,
            keys_count: self.keys_count,
        })
    }
}

/// Reads of key backups.
#[derive(Debug, Clone, Copy)]
pub struct KeyBackups<'db> {
    db: &'db Db,
}

impl Db {
    /// Key backups.
    pub fn key_backups(&self) -> KeyBackups<'_> {
        KeyBackups { db: self }
    }
}

impl KeyBackups<'_> {
    /// The current backup of a user.
    #[tracing::instrument(name = "db.key_backups.find_current", skip_all, fields(user.id = %user_id))]
    pub async fn find_current(&self, user_id: &UserId) -> Result<Option<KeyBackup>, StorageError> {
        let row = sqlx::query_as!(
            BackupRow,
            "SELECT version, algorithm, auth_data, etag, keys_count FROM key_backups
             WHERE user_id = $1 AND NOT deleted ORDER BY version DESC LIMIT 1",
            user_id.as_str()
        )
        .fetch_optional(self.db.pool())
        .await?;
        row.map(BackupRow::read).transpose()
    }

    /// A backup of a user, whether or not it is the current one.
    #[tracing::instrument(name = "db.key_backups.find", skip_all, fields(user.id = %user_id))]
    pub async fn find(
        &self,
        user_id: &UserId,
        version: i64,
    ) -> Result<Option<KeyBackup>, StorageError> {
        let row = sqlx::query_as!(
            BackupRow,
            "SELECT version, algorithm, auth_data, etag, keys_count FROM key_backups
             WHERE user_id = $1 AND version = $2 AND NOT deleted",
            user_id.as_str(),
            version
        )
        .fetch_optional(self.db.pool())
        .await?;
        row.map(BackupRow::read).transpose()
    }

    /// A key of a backup.
    #[tracing::instrument(name = "db.key_backups.find_key", skip_all, fields(user.id = %user_id))]
    pub async fn find_key(
        &self,
        user_id: &UserId,
        version: i64,
        room_id: &str,
        session_id: &str,
    ) -> Result<Option<BackedUpKey>, StorageError> {
        let key = sqlx::query_as!(
            BackedUpKey,
            "SELECT room_id, session_id, first_message_index, forwarded_count, is_verified, session_data
             FROM key_backup_keys WHERE user_id = $1 AND version = $2 AND room_id = $3 AND session_id = $4",
            user_id.as_str(),
            version,
            room_id,
            session_id
        )
        .fetch_optional(self.db.pool())
        .await?;
        Ok(key)
    }

    /// The keys of a backup that come after a room's session, by room and session, at most `count_max`.
    #[tracing::instrument(name = "db.key_backups.list_keys", skip_all, fields(user.id = %user_id))]
    pub async fn list_keys(
        &self,
        user_id: &UserId,
        version: i64,
        after: (&str, &str),
        count_max: i64,
    ) -> Result<Vec<BackedUpKey>, StorageError> {
        let keys = sqlx::query_as!(
            BackedUpKey,
            "SELECT room_id, session_id, first_message_index, forwarded_count, is_verified, session_data
             FROM key_backup_keys
             WHERE user_id = $1 AND version = $2 AND (room_id, session_id) > ($3, $4)
             ORDER BY room_id, session_id LIMIT $5",
            user_id.as_str(),
            version,
            after.0,
            after.1,
            count_max
        )
        .fetch_all(self.db.pool())
        .await?;
        Ok(keys)
    }

    /// The keys of one room in a backup that come after a session, by session, at most `count_max`.
    #[tracing::instrument(name = "db.key_backups.list_keys_of_room", skip_all, fields(user.id = %user_id))]
    pub async fn list_keys_of_room(
        &self,
        user_id: &UserId,
        version: i64,
        room_id: &str,
        after: &str,
        count_max: i64,
    ) -> Result<Vec<BackedUpKey>, StorageError> {
        let keys = sqlx::query_as!(
            BackedUpKey,
            "SELECT room_id, session_id, first_message_index, forwarded_count, is_verified, session_data
             FROM key_backup_keys
             WHERE user_id = $1 AND version = $2 AND room_id = $3 AND session_id > $4
             ORDER BY session_id LIMIT $5",
            user_id.as_str(),
            version,
            room_id,
            after,
            count_max
        )
        .fetch_all(self.db.pool())
        .await?;
        Ok(keys)
    }
}

impl Tx {
    /// Key backups.
    pub fn key_backups(&mut self) -> KeyBackupsTx<'_> {
        KeyBackupsTx { tx: self }
    }
}

/// Writes of key backups. Keys are written and deleted between [`KeyBackupsTx::lock`] and [`KeyBackupsTx::set_counts`].
#[derive(Debug)]
pub struct KeyBackupsTx<'tx> {
    tx: &'tx mut Tx,
}

impl KeyBackupsTx<'_> {
    /// Begin a new backup, which is the current one from now on: its version. `None` if another was begun at the same time.
    #[tracing::instrument(name = "db.key_backups.add", skip_all, fields(user.id = %user_id))]
    pub async fn add(
        &mut self,
        user_id: &UserId,
        algorithm: &str,
        auth_data: &str,
    ) -> Result<Option<i64>, StorageError> {
        let version = sqlx::query_scalar!(
            "INSERT INTO key_backups (user_id, version, algorithm, auth_data)
             SELECT $1, coalesce(max(version), 0) + 1, $2, $3 FROM key_backups WHERE user_id = $1
             ON CONFLICT DO NOTHING RETURNING version",
            user_id.as_str(),
            algorithm,
            auth_data
        )
        .fetch_optional(&mut *self.tx.inner)
        .await?;
        Ok(version)
    }

    /// The number of backups that a user has, without deleted ones.
    #[tracing::instrument(name = "db.key_backups.count", skip_all, fields(user.id = %user_id))]
    pub async fn count(&mut self, user_id: &UserId) -> Result<i64, StorageError> {
        let count = sqlx::query_scalar!(
            r#"SELECT count(*) AS "count!" FROM key_backups WHERE user_id = $1 AND NOT deleted"#,
            user_id.as_str()
        )
        .fetch_one(&mut *self.tx.inner)
        .await?;
        Ok(count)
    }

    /// Let nobody else change a backup or its keys until the transaction ends: the backup as it is then. `None`: there is none,
    /// or it is deleted.
    #[tracing::instrument(name = "db.key_backups.lock", skip_all, fields(user.id = %user_id))]
    pub async fn lock(
        &mut self,
        user_id: &UserId,
        version: i64,
    ) -> Result<Option<KeyBackup>, StorageError> {
        let row = sqlx::query_as!(
            BackupRow,
            "SELECT version, algorithm, auth_data, etag, keys_count FROM key_backups
             WHERE user_id = $1 AND version = $2 AND NOT deleted FOR UPDATE",
            user_id.as_str(),
            version
        )
        .fetch_optional(&mut *self.tx.inner)
        .await?;
        row.map(BackupRow::read).transpose()
    }

    /// The version of the current backup.
    #[tracing::instrument(name = "db.key_backups.current_version", skip_all, fields(user.id = %user_id))]
    pub async fn current_version(&mut self, user_id: &UserId) -> Result<Option<i64>, StorageError> {
        let version = sqlx::query_scalar!(
            "SELECT max(version) FROM key_backups WHERE user_id = $1 AND NOT deleted",
            user_id.as_str()
        )
        .fetch_one(&mut *self.tx.inner)
        .await?;
        Ok(version)
    }

    /// Change the data of a backup's algorithm.
    #[tracing::instrument(name = "db.key_backups.set_auth_data", skip_all, fields(user.id = %user_id))]
    pub async fn set_auth_data(
        &mut self,
        user_id: &UserId,
        version: i64,
        auth_data: &str,
    ) -> Result<(), StorageError> {
        sqlx::query!(
            "UPDATE key_backups SET auth_data = $3 WHERE user_id = $1 AND version = $2",
            user_id.as_str(),
            version,
            auth_data
        )
        .execute(&mut *self.tx.inner)
        .await?;
        Ok(())
    }

    /// Add keys. Where a session has a key already, the better one stays: a verified one, else the one with the lower index of
    /// its first message, else the one that was passed on less often (client-server API, `PUT /room_keys/keys`). The number of
    /// keys that are new, and of those that took the place of another.
    #[tracing::instrument(name = "db.key_backups.add_keys", skip_all, fields(user.id = %user_id))]
    pub async fn add_keys(
        &mut self,
        user_id: &UserId,
        version: i64,
        keys: &[BackedUpKey],
    ) -> Result<(usize, usize), StorageError> {
        let texts = |text: fn(&BackedUpKey) -> &String| -> Vec<String> {
            keys.iter().map(text).cloned().collect()
        };
        let are_new = sqlx::query_scalar!(
            r#"INSERT INTO key_backup_keys AS stored (user_id, version, room_id, session_id, first_message_index,
                 forwarded_count, is_verified, session_data)
             SELECT $1, $2, * FROM unnest($3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::boolean[], $8::text[])
             ON CONFLICT (user_id, version, room_id, session_id) DO UPDATE
             SET first_message_index = excluded.first_message_index, forwarded_count = excluded.forwarded_count,
                 is_verified = excluded.is_verified, session_data = excluded.session_data
             WHERE (NOT excluded.is_verified, excluded.first_message_index, excluded.forwarded_count)
                 < (NOT stored.is_verified, stored.first_message_index, stored.forwarded_count)
             RETURNING xmax = 0 AS "is_new!""#,
            user_id.as_str(),
            version,
            &texts(|key| &key.room_id),
            &texts(|key| &key.session_id),
            &keys.iter().map(|key| key.first_message_index).collect::<Vec<_>>(),
            &keys.iter().map(|key| key.forwarded_count).collect::<Vec<_>>(),
            &keys.iter().map(|key| key.is_verified).collect::<Vec<_>>(),
            &texts(|key| &key.session_data)
        )
        .fetch_all(&mut *self.tx.inner)
        .await?;
        let added = are_new.iter().filter(|is_new| **is_new).count();
        Ok((added, are_new.len() - added))
    }

    /// Delete keys: those of all rooms or of one, of all its sessions or of one. The number deleted.
    #[tracing::instrument(name = "db.key_backups.delete_keys", skip_all, fields(user.id = %user_id))]
    pub async fn delete_keys(
        &mut self,
        user_id: &UserId,
        version: i64,
        room_id: Option<&str>,
        session_id: Option<&str>,
    ) -> Result<u64, StorageError> {
        let done = sqlx::query!(
            "DELETE FROM key_backup_keys WHERE user_id = $1 AND version = $2
             AND room_id = coalesce($3, room_id) AND session_id = coalesce($4, session_id)",
            user_id.as_str(),
            version,
            room_id,
            session_id
        )
        .execute(&mut *self.tx.inner)
        .await?;
        Ok(done.rows_affected())
    }

    /// Note that a backup's keys changed, and how many there are now.
    #[tracing::instrument(name = "db.key_backups.set_counts", skip_all, fields(user.id = %user_id))]
    pub async fn set_counts(
        &mut self,
        user_id: &UserId,
        version: i64,
        etag: i64,
        keys_count: i64,
    ) -> Result<(), StorageError> {
        sqlx::query!(
            "UPDATE key_backups SET etag = $3, keys_count = $4 WHERE user_id = $1 AND version = $2",
            user_id.as_str(),
            version,
            etag,
            keys_count
        )
        .execute(&mut *self.tx.inner)
        .await?;
        Ok(())
    }

    /// Delete a backup with its keys. False if the user never had it; one that is deleted already counts as deleted.
    #[tracing::instrument(name = "db.key_backups.delete", skip_all, fields(user.id = %user_id))]
    pub async fn delete(&mut self, user_id: &UserId, version: i64) -> Result<bool, StorageError> {
        let done = sqlx::query!(
            "UPDATE key_backups SET deleted = true, algorithm = '', auth_data = '{}', keys_count = 0
             WHERE user_id = $1 AND version = $2",
            user_id.as_str(),
            version
        )
        .execute(&mut *self.tx.inner)
        .await?;
        self.delete_keys(user_id, version, None, None).await?;
        Ok(done.rows_affected() == 1)
    }

    /// Delete all backups of a user whose account ends.
    #[tracing::instrument(name = "db.key_backups.delete_all", skip_all, fields(user.id = %user_id))]
    pub async fn delete_all(&mut self, user_id: &UserId) -> Result<(), StorageError> {
        sqlx::query!(
            "WITH k AS (DELETE FROM key_backup_keys WHERE user_id = $1)
             DELETE FROM key_backups WHERE user_id = $1",
            user_id.as_str()
        )
        .execute(&mut *self.tx.inner)
        .await?;
        Ok(())
    }
}
