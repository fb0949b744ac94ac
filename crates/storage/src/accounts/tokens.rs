//! Queries over `access_tokens`, `refresh_tokens`, `login_tokens` and `openid_tokens`.

use myelin_model::{RateLimitOverride, TokenHash};
use ruma::{DeviceId, OwnedDeviceId, OwnedUserId, UserId};

use super::{from_sql_ts, to_sql_ts};
use crate::{Change, Db, StorageError, Tx};

/// An access token with what decides over its use.
#[derive(Debug, Clone)]
pub struct StoredSession {
    pub user_id: OwnedUserId,
    /// The device, if it has one.
    pub device_id: Option<OwnedDeviceId>,
    /// It does not hold after this time, in milliseconds since the epoch.
    pub expires_ts: Option<u64>,
    /// The refresh token that was issued with it, if it has not been used yet.
    pub unused_refresh_nid: Option<i64>,
    /// The account is a guest's.
    pub is_guest: bool,
    /// The account may use the admin API.
    pub is_admin: bool,
    pub locked: bool,
    pub suspended: bool,
    /// The account's own rate limit.
    pub rate_limit: Option<RateLimitOverride>,
}

/// An access token to be stored.
#[derive(Debug)]
pub struct NewAccessToken<'a> {
    pub hash: &'a TokenHash,
    /// The user who calls with it.
    pub user_id: &'a UserId,
    /// The device, if it has one.
    pub device_id: Option<&'a DeviceId>,
    /// The time of making it, in milliseconds since the epoch.
    pub created_ts: u64,
    /// It does not hold after this time, in milliseconds since the epoch.
    pub expires_ts: Option<u64>,
    /// The refresh token that is issued with it.
    pub refresh_nid: Option<i64>,
}

/// A refresh token to be stored.
#[derive(Debug)]
pub struct NewRefreshToken<'a> {
    pub hash: &'a TokenHash,
    pub user_id: &'a UserId,
    pub device_id: &'a DeviceId,
    /// It does not hold after this time, in milliseconds since the epoch.
    pub expires_ts: Option<u64>,
    /// The time after which nothing that it is exchanged for holds, in milliseconds since the epoch. `None`: there is
    /// no such time.
    pub session_expires_ts: Option<u64>,
}

/// A row of `refresh_tokens`.
#[derive(Debug, Clone)]
pub struct RefreshToken {
    pub nid: i64,
    pub user_id: OwnedUserId,
    pub device_id: OwnedDeviceId,
    /// One of the tokens that it was exchanged for has been used.
    pub next_used: bool,
    /// It does not hold after this time, in milliseconds since the epoch.
    pub expires_ts: Option<u64>,
    /// The time after which nothing that it is exchanged for holds, in milliseconds since the epoch. `None`: there is
    /// no such time.
    pub session_expires_ts: Option<u64>,
}

/// Reads of tokens.
#[derive(Debug, Clone, Copy)]
pub struct Tokens<'db> {
    db: &'db Db,
}

impl Db {
    /// Tokens.
    pub fn tokens(&self) -> Tokens<'_> {
        Tokens { db: self }
    }
}

impl Tokens<'_> {
    /// Find what an access token stands for. It takes one query.
    #[tracing::instrument(name = "db.tokens.find_session", skip_all)]
    pub async fn find_session(
        &self,
        token: &TokenHash,
    ) -> Result<Option<StoredSession>, StorageError> {
        let row = sqlx::query!(
            r#"SELECT t.user_id, t.device_id, t.expires_ts, t.refresh_nid, t.used, u.is_guest, u.is_admin, u.locked,
                      u.suspended, l.messages_per_second AS "messages_per_second?", l.burst_count AS "burst_count?"
               FROM access_tokens t
               JOIN users u ON u.user_id = t.user_id AND NOT u.deactivated
               LEFT JOIN ratelimit_overrides l ON l.user_id = t.user_id
               WHERE t.token_hash = $1"#,
            token.as_bytes()
        )
        .fetch_optional(self.db.pool())
        .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(StoredSession {
            user_id: OwnedUserId::try_from(row.user_id)
                .map_err(StorageError::inconsistent("access_tokens.user_id"))?,
            device_id: row.device_id.map(Into::into),
            expires_ts: row.expires_ts.map(from_sql_ts),
            unused_refresh_nid: row.refresh_nid.filter(|_| !row.used),
            is_guest: row.is_guest,
            is_admin: row.is_admin,
            locked: row.locked,
            suspended: row.suspended,
            rate_limit: row.messages_per_second.zip(row.burst_count).map(
                |(messages_per_second, burst_count)| RateLimitOverride {
                    messages_per_second,
                    burst_count,
                },
            ),
        }))
    }

    /// The time at which the user of an access token last authenticated again through it, in milliseconds since the
    /// epoch.
    #[tracing::instrument(name = "db.tokens.find_validated", skip_all)]
    pub async fn find_validated(&self, token: &TokenHash) -> Result<Option<u64>, StorageError> {
        let validated = sqlx::query_scalar!(
            "SELECT validated_ts FROM access_tokens WHERE token_hash = $1",
            token.as_bytes()
        )
        .fetch_optional(self.db.pool())
        .await?;
        Ok(validated.flatten().map(from_sql_ts))
    }

    /// The user whose OpenID token it is, if it holds at `now_ms`.
    #[tracing::instrument(name = "db.tokens.find_openid", skip_all)]
    pub async fn find_openid(
        &self,
        token: &TokenHash,
        now_ms: u64,
    ) -> Result<Option<OwnedUserId>, StorageError> {
        let user = sqlx::query_scalar!(
            "SELECT user_id FROM openid_tokens WHERE token_hash = $1 AND expires_ts > $2",
            token.as_bytes(),
            to_sql_ts(now_ms)
        )
        .fetch_optional(self.db.pool())
        .await?;
        user.map(OwnedUserId::try_from)
            .transpose()
            .map_err(StorageError::inconsistent("openid_tokens.user_id"))
    }
}

impl Tx {
    /// Tokens.
    pub fn tokens(&mut self) -> TokensTx<'_> {
        TokensTx { tx: self }
    }
}

/// Writes of tokens. Follow deletions by [`TokensTx::publish`].
#[derive(Debug)]
pub struct TokensTx<'tx> {
    tx: &'tx mut Tx,
}

impl TokensTx<'_> {
    /// Announce that what nodes keep in memory of a user's tokens is void.
    pub fn publish(&mut self, user_id: &UserId) {
        self.tx.publish_first(Change::Sessions { user_id: user_id.to_owned() });
    }

    /// An access token is used for the first time: the tokens that were exchanged for it are of no use any more. Follow it by
    /// [`TokensTx::publish`].
    #[tracing::instrument(name = "db.tokens.set_used", skip_all)]
    pub async fn set_used(
        &mut self,
        token: &TokenHash,
        refresh_nid: i64,
    ) -> Result<(), StorageError> {
        sqlx::query!(
            "WITH used AS (UPDATE access_tokens SET used = true WHERE token_hash = $1),
                  old AS (DELETE FROM access_tokens
                          WHERE refresh_nid IN (SELECT refresh_nid FROM refresh_tokens WHERE next_nid = $2))
             DELETE FROM refresh_tokens WHERE next_nid = $2",
            token.as_bytes(),
            refresh_nid
        )
        .execute(&mut *self.tx.inner)
        .await?;
        Ok(())
    }

    /// The user of an access token authenticated again through it.
    #[tracing::instrument(name = "db.tokens.set_validated", skip_all)]
    pub async fn set_validated(
        &mut self,
        token: &TokenHash,
        now_ms: u64,
    ) -> Result<(), StorageError> {
        sqlx::query!(
            "UPDATE access_tokens SET validated_ts = $2 WHERE token_hash = $1",
            token.as_bytes(),
            to_sql_ts(now_ms)
        )
        .execute(&mut *self.tx.inner)
        .await?;
        Ok(())
    }

    /// Add an access token.
    #[tracing::instrument(name = "db.tokens.add_access", skip_all, fields(user.id = %token.user_id))]
    pub async fn add_access(&mut self, token: &NewAccessToken<'_>) -> Result<(), StorageError> {
        sqlx::query!(
            "INSERT INTO access_tokens (token_hash, user_id, device_id, created_ts, expires_ts, refresh_nid)
             VALUES ($1, $2, $3, $4, $5, $6)",
            token.hash.as_bytes(),
            token.user_id.as_str(),
            token.device_id.map(DeviceId::as_str),
            to_sql_ts(token.created_ts),
            token.expires_ts.map(to_sql_ts),
            token.refresh_nid
        )
        .execute(&mut *self.tx.inner)
        .await?;
        Ok(())
    }

    /// Delete all tokens of a device, but not the device.
    #[tracing::instrument(name = "db.tokens.delete_of_device", skip_all, fields(user.id = %user_id))]
    pub async fn delete_of_device(
        &mut self,
        user_id: &UserId,
        device_id: &DeviceId,
    ) -> Result<(), StorageError> {
        sqlx::query!(
            "WITH a AS (DELETE FROM access_tokens WHERE user_id = $1 AND device_id = $2)
             DELETE FROM refresh_tokens WHERE user_id = $1 AND device_id = $2",
            user_id.as_str(),
            device_id.as_str()
        )
        .execute(&mut *self.tx.inner)
        .await?;
        Ok(())
    }

    /// Delete all tokens of a user by which sessions go on, but not the devices.
    #[tracing::instrument(name = "db.tokens.delete_all", skip_all, fields(user.id = %user_id))]
    pub async fn delete_all(&mut self, user_id: &UserId) -> Result<(), StorageError> {
        sqlx::query!(
            "WITH a AS (DELETE FROM access_tokens WHERE user_id = $1)
             DELETE FROM refresh_tokens WHERE user_id = $1",
            user_id.as_str()
        )
        .execute(&mut *self.tx.inner)
        .await?;
        Ok(())
    }

    /// Delete one access token.
    #[tracing::instrument(name = "db.tokens.delete_access", skip_all)]
    pub async fn delete_access(&mut self, token: &TokenHash) -> Result<(), StorageError> {
        sqlx::query!("DELETE FROM access_tokens WHERE token_hash = $1", token.as_bytes())
            .execute(&mut *self.tx.inner)
            .await?;
        Ok(())
    }

    /// Add a refresh token. Its number.
    #[tracing::instrument(name = "db.tokens.add_refresh", skip_all, fields(user.id = %token.user_id))]
    pub async fn add_refresh(&mut self, token: &NewRefreshToken<'_>) -> Result<i64, StorageError> {
        Ok(sqlx::query_scalar!(
            "INSERT INTO refresh_tokens (token_hash, user_id, device_id, expires_ts, session_expires_ts)
             VALUES ($1, $2, $3, $4, $5) RETURNING refresh_nid",
            token.hash.as_bytes(),
            token.user_id.as_str(),
            token.device_id.as_str(),
            token.expires_ts.map(to_sql_ts),
            token.session_expires_ts.map(to_sql_ts)
        )
        .fetch_one(&mut *self.tx.inner)
        .await?)
    }

    /// Find a refresh token, and keep others from exchanging it meanwhile.
    #[tracing::instrument(name = "db.tokens.find_refresh", skip_all)]
    pub async fn find_refresh(
        &mut self,
        token: &TokenHash,
    ) -> Result<Option<RefreshToken>, StorageError> {
        let row = sqlx::query!(
            r#"SELECT r.refresh_nid, r.user_id, r.device_id, r.expires_ts, r.session_expires_ts,
                      (EXISTS (SELECT 1 FROM refresh_tokens n WHERE n.refresh_nid = r.next_nid AND n.next_nid IS NOT NULL)
                       OR EXISTS (SELECT 1 FROM access_tokens a WHERE a.refresh_nid = r.next_nid AND a.used)) AS "next_used!"
               FROM refresh_tokens r WHERE r.token_hash = $1 FOR UPDATE"#,
            token.as_bytes()
        )
        .fetch_optional(&mut *self.tx.inner)
        .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(RefreshToken {
            nid: row.refresh_nid,
            user_id: OwnedUserId::try_from(row.user_id)
                .map_err(StorageError::inconsistent("refresh_tokens.user_id"))?,
            device_id: row.device_id.into(),
            next_used: row.next_used,
            expires_ts: row.expires_ts.map(from_sql_ts),
            session_expires_ts: row.session_expires_ts.map(from_sql_ts),
        }))
    }

    /// Note what a refresh token was exchanged for. What it was exchanged for before, unused, is deleted.
    #[tracing::instrument(name = "db.tokens.set_next_refresh", skip_all)]
    pub async fn set_next_refresh(&mut self, nid: i64, next_nid: i64) -> Result<(), StorageError> {
        sqlx::query!(
            "WITH old AS (SELECT next_nid FROM refresh_tokens WHERE refresh_nid = $1 AND next_nid IS NOT NULL),
                  a AS (DELETE FROM access_tokens WHERE refresh_nid IN (SELECT next_nid FROM old)),
                  r AS (DELETE FROM refresh_tokens WHERE refresh_nid IN (SELECT next_nid FROM old))
             UPDATE refresh_tokens SET next_nid = $2 WHERE refresh_nid = $1",
            nid,
            next_nid
        )
        .execute(&mut *self.tx.inner)
        .await?;
        Ok(())
    }

    /// Add a token that logs in once.
    #[tracing::instrument(name = "db.tokens.add_login", skip_all, fields(user.id = %user_id))]
    pub async fn add_login(
        &mut self,
        token: &TokenHash,
        user_id: &UserId,
        expires_ts: u64,
    ) -> Result<(), StorageError> {
        sqlx::query!(
            "INSERT INTO login_tokens (token_hash, user_id, expires_ts) VALUES ($1, $2, $3)",
            token.as_bytes(),
            user_id.as_str(),
            to_sql_ts(expires_ts)
        )
        .execute(&mut *self.tx.inner)
        .await?;
        Ok(())
    }

    /// Delete the tokens that would log a user in.
    #[tracing::instrument(name = "db.tokens.delete_login", skip_all, fields(user.id = %user_id))]
    pub async fn delete_login(&mut self, user_id: &UserId) -> Result<(), StorageError> {
        sqlx::query!("DELETE FROM login_tokens WHERE user_id = $1", user_id.as_str())
            .execute(&mut *self.tx.inner)
            .await?;
        Ok(())
    }

    /// Take a login token out: whose it is, and until when it holds. Old ones of others go with it.
    #[tracing::instrument(name = "db.tokens.take_login", skip_all)]
    pub async fn take_login(
        &mut self,
        token: &TokenHash,
        now_ms: u64,
    ) -> Result<Option<OwnedUserId>, StorageError> {
        let user = sqlx::query_scalar!(
            "WITH old AS (DELETE FROM login_tokens WHERE expires_ts <= $2 AND token_hash <> $1)
             DELETE FROM login_tokens WHERE token_hash = $1 AND expires_ts > $2 RETURNING user_id",
            token.as_bytes(),
            to_sql_ts(now_ms)
        )
        .fetch_optional(&mut *self.tx.inner)
        .await?;
        user.map(OwnedUserId::try_from)
            .transpose()
            .map_err(StorageError::inconsistent("login_tokens.user_id"))
    }

    /// Add a token by which others may learn who somebody is. Those that ran out at `now_ms` go.
    #[tracing::instrument(name = "db.tokens.add_openid", skip_all, fields(user.id = %user_id))]
    pub async fn add_openid(
        &mut self,
        token: &TokenHash,
        user_id: &UserId,
        now_ms: u64,
        expires_ts: u64,
    ) -> Result<(), StorageError> {
        sqlx::query!(
            "WITH old AS (DELETE FROM openid_tokens WHERE user_id = $2 AND expires_ts <= $4)
             INSERT INTO openid_tokens (token_hash, user_id, expires_ts) VALUES ($1, $2, $3)",
            token.as_bytes(),
            user_id.as_str(),
            to_sql_ts(expires_ts),
            to_sql_ts(now_ms)
        )
        .execute(&mut *self.tx.inner)
        .await?;
        Ok(())
    }
}
