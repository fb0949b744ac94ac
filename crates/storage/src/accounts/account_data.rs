//! Queries over `account_data`.

use std::sync::Arc;

use myelin_model::RoomNid;
use ruma::{OwnedUserId, UserId};
use serde_json::value::RawValue;

use crate::{Change, Db, StorageError, Tx};

/// Stands in `account_data.room_nid` for global account data.
const GLOBAL: i64 = 0;

/// An account data entry.
#[derive(Debug, Clone)]
pub struct StoredAccountData {
    /// The room, or `None` for global account data.
    pub room_nid: Option<RoomNid>,
    pub data_type: Box<str>,
    /// The content, as JSON.
    pub content: Box<str>,
}

/// Reads of account data.
#[derive(Debug, Clone, Copy)]
pub struct AccountData<'db> {
    db: &'db Db,
}

impl Db {
    /// Account data.
    pub fn account_data(&self) -> AccountData<'_> {
        AccountData { db: self }
    }
}

impl AccountData<'_> {
    /// All of a user's account data, global and of rooms, by room and type. It takes one query.
    #[tracing::instrument(name = "db.account_data.list", skip_all, fields(user.id = %user_id))]
    pub async fn list(&self, user_id: &UserId) -> Result<Vec<StoredAccountData>, StorageError> {
        let rows = sqlx::query!(
            "SELECT room_nid, data_type, content FROM account_data WHERE user_id = $1 ORDER BY room_nid, data_type",
            user_id.as_str()
        )
        .fetch_all(self.db.pool())
        .await?;
        let rows = rows.into_iter().map(|row| StoredAccountData {
            room_nid: (row.room_nid != GLOBAL).then_some(RoomNid(row.room_nid)),
            data_type: row.data_type.into(),
            content: row.content.into(),
        });
        Ok(rows.collect())
    }

    /// The entries of these users that may speak of a room: its tags, and globally their push rules and the list of
    /// direct chats. By user and type.
    #[tracing::instrument(name = "db.account_data.list_about_room", skip_all, fields(room.nid = %room_nid))]
    pub async fn list_about_room(
        &self,
        users: &[OwnedUserId],
        room_nid: RoomNid,
    ) -> Result<Vec<(OwnedUserId, StoredAccountData)>, StorageError> {
        let users: Vec<String> = users.iter().map(ToString::to_string).collect();
        let rows = sqlx::query!(
            "SELECT user_id, room_nid, data_type, content FROM account_data
             WHERE user_id = ANY ($1)
               AND (room_nid = $2 AND data_type = 'm.tag'
                    OR room_nid = $3 AND data_type IN ('m.direct', 'm.push_rules'))
             ORDER BY user_id, data_type",
            &users,
            room_nid.0,
            GLOBAL
        )
        .fetch_all(self.db.pool())
        .await?;
        let rows = rows.into_iter().filter_map(|row| {
            let user_id = OwnedUserId::try_from(row.user_id)
                .map_err(StorageError::inconsistent("account_data.user_id"));
            let user_id = self.db.pool().readable(user_id)?;
            let data = StoredAccountData {
                room_nid: (row.room_nid != GLOBAL).then_some(RoomNid(row.room_nid)),
                data_type: row.data_type.into(),
                content: row.content.into(),
            };
            Some((user_id, data))
        });
        Ok(rows.collect())
    }

    /// Find an entry.
    #[tracing::instrument(name = "db.account_data.find", skip_all, fields(user.id = %user_id))]
    pub async fn find(
        &self,
        user_id: &UserId,
        room_nid: Option<RoomNid>,
        data_type: &str,
    ) -> Result<Option<Arc<RawValue>>, StorageError> {
        let content = sqlx::query_scalar!(
            "SELECT content FROM account_data WHERE user_id = $1 AND room_nid = $2 AND data_type = $3",
            user_id.as_str(),
            room_nid.map_or(GLOBAL, |nid| nid.0),
            data_type
        )
        .fetch_optional(self.db.pool())
        .await?;
        content.map(parse).transpose()
    }
}

fn parse(content: String) -> Result<Arc<RawValue>, StorageError> {
    RawValue::from_string(content)
        .map(Into::into)
        .map_err(StorageError::inconsistent("account_data.content"))
}

impl Tx {
    /// Account data.
    pub fn account_data(&mut self) -> AccountDataTx<'_> {
        AccountDataTx { tx: self }
    }
}

/// Writes of account data.
#[derive(Debug)]
pub struct AccountDataTx<'tx> {
    tx: &'tx mut Tx,
}

impl AccountDataTx<'_> {
    /// Set an entry and announce it.
    #[tracing::instrument(name = "db.account_data.set", skip_all, fields(user.id = %user_id))]
    pub async fn set(
        &mut self,
        user_id: &UserId,
        room_nid: Option<RoomNid>,
        data_type: &str,
        content: Arc<RawValue>,
    ) -> Result<(), StorageError> {
        sqlx::query!(
            "INSERT INTO account_data (user_id, room_nid, data_type, content) VALUES ($1, $2, $3, $4)
             ON CONFLICT (user_id, room_nid, data_type) DO UPDATE SET content = excluded.content",
            user_id.as_str(),
            room_nid.map_or(GLOBAL, |nid| nid.0),
            data_type,
            content.get()
        )
        .execute(&mut *self.tx.inner)
        .await?;
        self.tx.publish(Change::AccountData {
            user_id: user_id.to_owned(),
            room_nid,
            data_type: data_type.into(),
            content,
        });
        Ok(())
    }

    /// As [`AccountDataTx::set`], unless all entries of the user together would be larger than `size_bytes_max` then. False if they
    /// would.
    #[tracing::instrument(name = "db.account_data.set_within", skip_all, fields(user.id = %user_id))]
    pub async fn set_within(
        &mut self,
        user_id: &UserId,
        room_nid: Option<RoomNid>,
        data_type: &str,
        content: Arc<RawValue>,
        size_bytes_max: usize,
    ) -> Result<bool, StorageError> {
        let done = sqlx::query!(
            "INSERT INTO account_data (user_id, room_nid, data_type, content)
             SELECT $1::text, $2::bigint, $3::text, $4::text
             WHERE octet_length($4::text) + (
                 SELECT coalesce(sum(octet_length(content)), 0) FROM account_data
                 WHERE user_id = $1::text AND (room_nid, data_type) <> ($2::bigint, $3::text)
             ) <= $5::bigint
             ON CONFLICT (user_id, room_nid, data_type) DO UPDATE SET content = excluded.content",
            user_id.as_str(),
            room_nid.map_or(GLOBAL, |nid| nid.0),
            data_type,
            content.get(),
            i64::try_from(size_bytes_max).unwrap_or(i64::MAX)
        )
        .execute(&mut *self.tx.inner)
        .await?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        self.tx.publish(Change::AccountData {
            user_id: user_id.to_owned(),
            room_nid,
            data_type: data_type.into(),
            content,
        });
        Ok(true)
    }

    /// Delete entries of some types, and announce each as `{}`: clients know no other sign. Those that do not exist are passed
    /// over.
    #[tracing::instrument(name = "db.account_data.delete", skip_all, fields(user.id = %user_id))]
    pub async fn delete(
        &mut self,
        user_id: &UserId,
        room_nid: Option<RoomNid>,
        data_types: &[String],
    ) -> Result<(), StorageError> {
        let deleted = sqlx::query_scalar!(
            "DELETE FROM account_data WHERE user_id = $1 AND room_nid = $2 AND data_type = ANY ($3) RETURNING data_type",
            user_id.as_str(),
            room_nid.map_or(GLOBAL, |nid| nid.0),
            data_types
        )
        .fetch_all(&mut *self.tx.inner)
        .await?;
        for data_type in deleted {
            self.tx.publish(Change::AccountData {
                user_id: user_id.to_owned(),
                room_nid,
                data_type: data_type.into(),
                content: parse("{}".to_owned())?,
            });
        }
        Ok(())
    }

    /// Find an entry, and keep others from changing it until the transaction ends.
    #[tracing::instrument(name = "db.account_data.find_for_update", skip_all, fields(user.id = %user_id))]
    pub async fn find_for_update(
        &mut self,
        user_id: &UserId,
        room_nid: Option<RoomNid>,
        data_type: &str,
    ) -> Result<Option<Arc<RawValue>>, StorageError> {
        // The lock also holds where there is no row yet.
        sqlx::query!(
            r#"SELECT pg_advisory_xact_lock(hashtextextended($1 || ' ' || $2, 7)) AS "locked!: ()""#,
            user_id.as_str(),
            data_type
        )
        .fetch_one(&mut *self.tx.inner)
        .await?;
        let content = sqlx::query_scalar!(
            "SELECT content FROM account_data WHERE user_id = $1 AND room_nid = $2 AND data_type = $3",
            user_id.as_str(),
            room_nid.map_or(GLOBAL, |nid| nid.0),
            data_type
        )
        .fetch_optional(&mut *self.tx.inner)
        .await?;
        content.map(parse).transpose()
    }

    /// Forget all of a user's account data, without a word: nobody reads it any more.
    #[tracing::instrument(name = "db.account_data.delete_all", skip_all, fields(user.id = %user_id))]
    pub async fn delete_all(&mut self, user_id: &UserId) -> Result<(), StorageError> {
        sqlx::query!("DELETE FROM account_data WHERE user_id = $1", user_id.as_str())
            .execute(&mut *self.tx.inner)
            .await?;
        Ok(())
    }
}
