//! Queries over `users` and `ratelimit_overrides`.

use myelin_model::Secret;
use ruma::{OwnedUserId, UserId};

use super::{from_sql_ts, to_sql_ts};
use crate::{Change, Db, StorageError, Tx};

/// A user to be registered.
#[derive(Debug, Clone)]
pub struct NewUser {
    pub user_id: OwnedUserId,
    /// The password's hash, if it has one.
    pub password_hash: Option<Secret>,
    /// The time of registration, in milliseconds since the epoch.
    pub created_ts: u64,
    /// The kind of account, such as `bot` or `support`. `None` for people.
    pub user_type: Option<String>,
    /// The application service that registers it.
    pub appservice_id: Option<String>,
    pub is_guest: bool,
    /// The user may use the admin API.
    pub is_admin: bool,
}

/// A row of `users`.
#[derive(Debug, Clone)]
pub struct StoredUser {
    pub user_id: OwnedUserId,
    /// The password's hash, if it has one.
    pub password_hash: Option<Secret>,
    /// The time of registration, in milliseconds since the epoch.
    pub created_ts: u64,
    /// The kind of account, such as `bot` or `support`. `None` for people.
    pub user_type: Option<String>,
    /// The application service that registered it.
    pub appservice_id: Option<String>,
    pub is_guest: bool,
    /// The user may use the admin API.
    pub is_admin: bool,
    /// The account is gone for good. Its name stays taken.
    pub deactivated: bool,
    /// Gone, and what it said is to be hidden from users who join later.
    pub erased: bool,
    /// The user may do nothing until an admin unlocks the account.
    pub locked: bool,
    /// The user may read and leave, but not write.
    pub suspended: bool,
    /// Nobody hears the user, who does not know it.
    pub shadow_banned: bool,
}

struct UserRow {
    user_id: String,
    password_hash: Option<String>,
    created_ts: i64,
    user_type: Option<String>,
    appservice_id: Option<String>,
    is_guest: bool,
    is_admin: bool,
    deactivated: bool,
    erased: bool,
    locked: bool,
    suspended: bool,
    shadow_banned: bool,
}

impl TryFrom<UserRow> for StoredUser {
    type Error = StorageError;

    fn try_from(row: UserRow) -> Result<Self, StorageError> {
        Ok(Self {
            user_id: OwnedUserId::try_from(row.user_id)
                .map_err(StorageError::inconsistent("users.user_id"))?,
            password_hash: row.password_hash.map(Secret::new),
            created_ts: from_sql_ts(row.created_ts),
            user_type: row.user_type,
            appservice_id: row.appservice_id,
            is_guest: row.is_guest,
            is_admin: row.is_admin,
            deactivated: row.deactivated,
            erased: row.erased,
            locked: row.locked,
            suspended: row.suspended,
            shadow_banned: row.shadow_banned,
        })
    }
}

/// Reads of users.
#[derive(Debug, Clone, Copy)]
pub struct Users<'db> {
    pub(super) db: &'db Db,
}

impl Db {
    /// Users.
    pub fn users(&self) -> Users<'_> {
        Users { db: self }
    }
}

impl Users<'_> {
    /// Find a user of this server.
    #[tracing::instrument(name = "db.users.find", skip_all, fields(user.id = %user_id))]
    pub async fn find(&self, user_id: &UserId) -> Result<Option<StoredUser>, StorageError> {
        let row =
            sqlx::query_as!(UserRow, "SELECT * FROM users WHERE user_id = $1", user_id.as_str())
                .fetch_optional(self.db.pool())
                .await?;
        row.map(TryInto::try_into).transpose()
    }

    /// Find a user by its ID whatever the case of its letters: accounts older than the rule of lower case.
    /// `None` if there is none, or several.
    #[tracing::instrument(name = "db.users.find_ignoring_case", skip_all, fields(user.id = %user_id))]
    pub async fn find_ignoring_case(
        &self,
        user_id: &UserId,
    ) -> Result<Option<StoredUser>, StorageError> {
        let mut rows = sqlx::query_as!(
            UserRow,
            "SELECT * FROM users WHERE lower(user_id) = lower($1) LIMIT 2",
            user_id.as_str()
        )
        .fetch_all(self.db.pool())
        .await?;
        if rows.len() > 1 {
            return Ok(None);
        }
        rows.pop().map(TryInto::try_into).transpose()
    }

    /// Whether somebody has the ID, whatever the case of its letters. Several may, from before the rule of lower case.
    #[tracing::instrument(name = "db.users.is_taken", skip_all, fields(user.id = %user_id))]
    pub async fn is_taken(&self, user_id: &UserId) -> Result<bool, StorageError> {
        Ok(sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT 1 FROM users WHERE lower(user_id) = lower($1)) AS "taken!""#,
            user_id.as_str()
        )
        .fetch_one(self.db.pool())
        .await?)
    }

    /// A number for a user without a name of its own.
    pub async fn next_number(&self) -> Result<i64, StorageError> {
        Ok(sqlx::query_scalar!(r#"SELECT nextval('user_numbers') AS "number!""#)
            .fetch_one(self.db.pool())
            .await?)
    }
}

impl Tx {
    /// Users.
    pub fn users(&mut self) -> UsersTx<'_> {
        UsersTx { tx: self }
    }
}

/// Writes of `users`. Follow each change of an existing user by [`UsersTx::publish`].
#[derive(Debug)]
pub struct UsersTx<'tx> {
    tx: &'tx mut Tx,
}

impl UsersTx<'_> {
    /// Announce that what nodes keep in memory of an account is void.
    pub fn publish(&mut self, user_id: &UserId) {
        self.tx.publish_first(Change::Account { user_id: user_id.to_owned() });
    }

    /// Register a user. False if the name is taken.
    #[tracing::instrument(name = "db.users.add", skip_all, fields(user.id = %user.user_id))]
    pub async fn add(&mut self, user: &NewUser) -> Result<bool, StorageError> {
        let done = sqlx::query!(
            "INSERT INTO users (user_id, password_hash, created_ts, user_type, appservice_id, is_guest, is_admin)
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
            user.user_id.as_str(),
            user.password_hash.as_ref().map(Secret::expose),
            to_sql_ts(user.created_ts),
            user.user_type,
            user.appservice_id,
            user.is_guest,
            user.is_admin
        )
        .execute(&mut *self.tx.inner)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Make a guest a user with a password. False if there is no such guest.
    #[tracing::instrument(name = "db.users.upgrade_guest", skip_all, fields(user.id = %user_id))]
    pub async fn upgrade_guest(
        &mut self,
        user_id: &UserId,
        password_hash: Option<&str>,
    ) -> Result<bool, StorageError> {
        let done = sqlx::query!(
            "UPDATE users SET is_guest = false, password_hash = $2 WHERE user_id = $1 AND is_guest",
            user_id.as_str(),
            password_hash
        )
        .execute(&mut *self.tx.inner)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Replace the hash of a password by another of the same password. Does nothing if the password is another by now.
    #[tracing::instrument(name = "db.users.replace_password_hash", skip_all, fields(user.id = %user_id))]
    pub async fn replace_password_hash(
        &mut self,
        user_id: &UserId,
        old: &str,
        new: &str,
    ) -> Result<(), StorageError> {
        sqlx::query!(
            "UPDATE users SET password_hash = $3 WHERE user_id = $1 AND password_hash = $2",
            user_id.as_str(),
            old,
            new
        )
        .execute(&mut *self.tx.inner)
        .await?;
        Ok(())
    }

    /// Whether a user's password has this hash. Nobody changes it until the transaction ends.
    #[tracing::instrument(name = "db.users.has_password_hash", skip_all, fields(user.id = %user_id))]
    pub async fn has_password_hash(
        &mut self,
        user_id: &UserId,
        hash: &str,
    ) -> Result<bool, StorageError> {
        let stored = sqlx::query_scalar!(
            "SELECT password_hash FROM users WHERE user_id = $1 FOR SHARE",
            user_id.as_str()
        )
        .fetch_optional(&mut *self.tx.inner)
        .await?;
        Ok(stored.flatten().is_some_and(|stored| stored == hash))
    }

    /// Set the password's hash, or remove it.
    #[tracing::instrument(name = "db.users.set_password", skip_all, fields(user.id = %user_id))]
    pub async fn set_password(
        &mut self,
        user_id: &UserId,
        password_hash: Option<&str>,
    ) -> Result<(), StorageError> {
        sqlx::query!(
            "UPDATE users SET password_hash = $2 WHERE user_id = $1",
            user_id.as_str(),
            password_hash
        )
        .execute(&mut *self.tx.inner)
        .await?;
        Ok(())
    }

    /// Mark as gone for good, without a password.
    #[tracing::instrument(name = "db.users.deactivate", skip_all, fields(user.id = %user_id))]
    pub async fn deactivate(&mut self, user_id: &UserId, erase: bool) -> Result<(), StorageError> {
        sqlx::query!(
            "UPDATE users SET deactivated = true, erased = erased OR $2, password_hash = NULL WHERE user_id = $1",
            user_id.as_str(),
            erase
        )
        .execute(&mut *self.tx.inner)
        .await?;
        Ok(())
    }

    /// Lock or unlock.
    #[tracing::instrument(name = "db.users.set_locked", skip_all, fields(user.id = %user_id))]
    pub async fn set_locked(&mut self, user_id: &UserId, locked: bool) -> Result<(), StorageError> {
        sqlx::query!("UPDATE users SET locked = $2 WHERE user_id = $1", user_id.as_str(), locked)
            .execute(&mut *self.tx.inner)
            .await?;
        Ok(())
    }

    /// Suspend or restore.
    #[tracing::instrument(name = "db.users.set_suspended", skip_all, fields(user.id = %user_id))]
    pub async fn set_suspended(
        &mut self,
        user_id: &UserId,
        suspended: bool,
    ) -> Result<(), StorageError> {
        sqlx::query!(
            "UPDATE users SET suspended = $2 WHERE user_id = $1",
            user_id.as_str(),
            suspended
        )
        .execute(&mut *self.tx.inner)
        .await?;
        Ok(())
    }

    /// Let use the admin API, or not.
    #[tracing::instrument(name = "db.users.set_admin", skip_all, fields(user.id = %user_id))]
    pub async fn set_admin(&mut self, user_id: &UserId, admin: bool) -> Result<(), StorageError> {
        sqlx::query!("UPDATE users SET is_admin = $2 WHERE user_id = $1", user_id.as_str(), admin)
            .execute(&mut *self.tx.inner)
            .await?;
        Ok(())
    }

    /// Set a rate limit of the user's own in place of the configured one.
    #[tracing::instrument(name = "db.users.set_rate_limit", skip_all, fields(user.id = %user_id))]
    pub async fn set_rate_limit(
        &mut self,
        user_id: &UserId,
        limit: myelin_model::RateLimitOverride,
    ) -> Result<(), StorageError> {
        sqlx::query!(
            "INSERT INTO ratelimit_overrides (user_id, messages_per_second, burst_count) VALUES ($1, $2, $3)
             ON CONFLICT (user_id) DO UPDATE
             SET messages_per_second = excluded.messages_per_second, burst_count = excluded.burst_count",
            user_id.as_str(),
            limit.messages_per_second,
            limit.burst_count
        )
        .execute(&mut *self.tx.inner)
        .await?;
        Ok(())
    }
}
