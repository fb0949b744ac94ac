//! Queries over `profiles`.

use ruma::UserId;
use serde_json::{Map, Value};

use crate::{Change, Db, StorageError, Tx};

/// The profile that a user shows to others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Profile {
    pub displayname: Option<String>,
    /// The picture shown, an `mxc://` URI.
    pub avatar_url: Option<String>,
    /// The further fields, by their names.
    pub fields: Map<String, Value>,
}

struct ProfileRow {
    displayname: Option<String>,
    avatar_url: Option<String>,
    fields: String,
}

impl TryFrom<ProfileRow> for Profile {
    type Error = StorageError;

    fn try_from(row: ProfileRow) -> Result<Self, StorageError> {
        Ok(Self {
            displayname: row.displayname,
            avatar_url: row.avatar_url,
            fields: serde_json::from_str(&row.fields)
                .map_err(StorageError::inconsistent("profiles.fields"))?,
        })
    }
}

/// Reads of profiles.
#[derive(Debug, Clone, Copy)]
pub struct Profiles<'db> {
    db: &'db Db,
}

impl Db {
    /// Profiles.
    pub fn profiles(&self) -> Profiles<'_> {
        Profiles { db: self }
    }
}

impl Profiles<'_> {
    /// Find a user's profile. `None` if there is no such user here; a user who has set nothing has an empty one.
    #[tracing::instrument(name = "db.profiles.find", skip_all, fields(user.id = %user_id))]
    pub async fn find(&self, user_id: &UserId) -> Result<Option<Profile>, StorageError> {
        let row = sqlx::query_as!(
            ProfileRow,
            r#"SELECT p.displayname AS "displayname?", p.avatar_url AS "avatar_url?",
                      coalesce(p.fields, '{}') AS "fields!"
               FROM users u LEFT JOIN profiles p ON p.user_id = u.user_id WHERE u.user_id = $1"#,
            user_id.as_str()
        )
        .fetch_optional(self.db.pool())
        .await?;
        row.map(TryInto::try_into).transpose()
    }
}

impl Tx {
    /// Profiles.
    pub fn profiles(&mut self) -> ProfilesTx<'_> {
        ProfilesTx { tx: self }
    }
}

/// Writes of profiles. Follow each by [`ProfilesTx::publish`].
#[derive(Debug)]
pub struct ProfilesTx<'tx> {
    tx: &'tx mut Tx,
}

impl ProfilesTx<'_> {
    /// Announce that a user's profile changed.
    pub fn publish(&mut self, user_id: &UserId) {
        self.tx.publish(Change::Profile { user_id: user_id.to_owned() });
    }

    /// The user's profile, and keep others from changing it until the transaction ends. `None`: no such user here.
    #[tracing::instrument(name = "db.profiles.find_for_update", skip_all, fields(user.id = %user_id))]
    pub async fn find_for_update(
        &mut self,
        user_id: &UserId,
    ) -> Result<Option<Profile>, StorageError> {
        let row = sqlx::query_as!(
            ProfileRow,
            r#"SELECT p.displayname AS "displayname?", p.avatar_url AS "avatar_url?",
                      coalesce(p.fields, '{}') AS "fields!"
               FROM users u LEFT JOIN profiles p ON p.user_id = u.user_id WHERE u.user_id = $1 FOR UPDATE OF u"#,
            user_id.as_str()
        )
        .fetch_optional(&mut *self.tx.inner)
        .await?;
        row.map(TryInto::try_into).transpose()
    }

    /// Set the whole profile.
    #[tracing::instrument(name = "db.profiles.set", skip_all, fields(user.id = %user_id))]
    pub async fn set(&mut self, user_id: &UserId, profile: &Profile) -> Result<(), StorageError> {
        let fields = serde_json::to_string(&profile.fields)
            .map_err(StorageError::inconsistent("profiles.fields"))?;
        sqlx::query!(
            "INSERT INTO profiles (user_id, displayname, avatar_url, fields) VALUES ($1, $2, $3, $4)
             ON CONFLICT (user_id) DO UPDATE
             SET displayname = excluded.displayname, avatar_url = excluded.avatar_url, fields = excluded.fields",
            user_id.as_str(),
            profile.displayname,
            profile.avatar_url,
            fields
        )
        .execute(&mut *self.tx.inner)
        .await?;
        Ok(())
    }
}
