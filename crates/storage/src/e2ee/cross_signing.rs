//! Queries over `cross_signing_keys` and `key_signatures`.

use std::sync::Arc;

use ruma::{OwnedUserId, UserId};

use super::KeySignature;
use crate::{Change, StorageError, Tx};

/// The use of a cross-signing key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyUsage {
    /// It signs the user's other cross-signing keys, and is what others verify.
    Master,
    /// It signs the user's own devices.
    SelfSigning,
    /// It signs the master keys of others.
    UserSigning,
}

impl KeyUsage {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Master, Self::SelfSigning, Self::UserSigning];

    /// The name that the specification gives it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Master => "master",
            Self::SelfSigning => "self_signing",
            Self::UserSigning => "user_signing",
        }
    }

    /// The use with this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|usage| usage.as_str() == name)
    }
}

impl Tx {
    /// Cross-signing keys, and signatures of keys.
    pub fn cross_signing(&mut self) -> CrossSigningTx<'_> {
        CrossSigningTx { tx: self }
    }
}

/// Writes of cross-signing keys and of signatures.
#[derive(Debug)]
pub struct CrossSigningTx<'tx> {
    tx: &'tx mut Tx,
}

impl CrossSigningTx<'_> {
    /// Let nobody else change a user's cross-signing keys until the transaction ends. False if there is no such user.
    #[tracing::instrument(name = "db.cross_signing.lock", skip_all, fields(user.id = %user_id))]
    pub async fn lock(&mut self, user_id: &UserId) -> Result<bool, StorageError> {
        let found = sqlx::query_scalar!(
            r#"SELECT true AS "found!" FROM users WHERE user_id = $1 FOR NO KEY UPDATE"#,
            user_id.as_str()
        )
        .fetch_optional(&mut *self.tx.inner)
        .await?;
        Ok(found.is_some())
    }

    /// The cross-signing keys of a user, as canonical JSON.
    #[tracing::instrument(name = "db.cross_signing.list", skip_all, fields(user.id = %user_id))]
    pub async fn list(
        &mut self,
        user_id: &UserId,
    ) -> Result<Vec<(KeyUsage, String)>, StorageError> {
        let rows = sqlx::query!(
            "SELECT usage, key FROM cross_signing_keys WHERE user_id = $1",
            user_id.as_str()
        )
        .fetch_all(&mut *self.tx.inner)
        .await?;
        let rows = rows.into_iter().map(|row| {
            let usage = KeyUsage::parse(&row.usage);
            let usage = usage
                .ok_or_else(|| StorageError::inconsistent("cross_signing_keys.usage")("unknown"))?;
            Ok((usage, row.key))
        });
        rows.collect()
    }

    /// Whether one of these names is that of a device of the user.
    #[tracing::instrument(name = "db.cross_signing.is_device", skip_all, fields(user.id = %user_id))]
    pub async fn is_device(
        &mut self,
        user_id: &UserId,
        names: &[String],
    ) -> Result<bool, StorageError> {
        let is_device = sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT FROM devices WHERE user_id = $1 AND device_id = ANY ($2)) AS "is_device!""#,
            user_id.as_str(),
            names
        )
        .fetch_one(&mut *self.tx.inner)
        .await?;
        Ok(is_device)
    }

    /// Set cross-signing keys of a user, as canonical JSON. `replaced` are the public halves of those whose place they take: what
    /// signed them, and what they signed, goes.
    #[tracing::instrument(name = "db.cross_signing.set", skip_all, fields(user.id = %user_id))]
    pub async fn set(
        &mut self,
        user_id: &UserId,
        keys: &[(KeyUsage, String)],
        replaced: &[String],
    ) -> Result<(), StorageError> {
        let usages: Vec<String> = keys.iter().map(|(usage, _)| usage.as_str().to_owned()).collect();
        let contents: Vec<String> = keys.iter().map(|(_, key)| key.clone()).collect();
        let key_ids: Vec<String> = replaced.iter().map(|key| format!("ed25519:{key}")).collect();
        sqlx::query!(
            "WITH s AS (DELETE FROM key_signatures WHERE target_user_id = $1 AND target_id = ANY ($4)
                        OR signer_id = $1 AND key_id = ANY ($5))
             INSERT INTO cross_signing_keys (user_id, usage, key)
             SELECT $1, * FROM unnest($2::text[], $3::text[])
             ON CONFLICT (user_id, usage) DO UPDATE SET key = excluded.key",
            user_id.as_str(),
            &usages,
            &contents,
            replaced,
            &key_ids
        )
        .execute(&mut *self.tx.inner)
        .await?;
        Ok(())
    }

    /// Add signatures of keys. One that is there already stays.
    #[tracing::instrument(name = "db.cross_signing.add_signatures", skip_all)]
    pub async fn add_signatures(
        &mut self,
        signatures: &[KeySignature],
    ) -> Result<(), StorageError> {
        let texts = |text: fn(&KeySignature) -> &str| -> Vec<String> {
            signatures.iter().map(|signature| text(signature).to_owned()).collect()
        };
        sqlx::query!(
            "INSERT INTO key_signatures (target_user_id, target_id, signer_id, key_id, signature)
             SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[])
             ON CONFLICT DO NOTHING",
            &texts(|signature| signature.target_user_id.as_str()),
            &texts(|signature| &signature.target_id),
            &texts(|signature| signature.signer_id.as_str()),
            &texts(|signature| &signature.key_id),
            &texts(|signature| &signature.signature)
        )
        .execute(&mut *self.tx.inner)
        .await?;
        Ok(())
    }

    /// Delete the cross-signing keys of a user whose account ends, with what they signed and what signed them.
    #[tracing::instrument(name = "db.cross_signing.delete_all", skip_all, fields(user.id = %user_id))]
    pub async fn delete_all(&mut self, user_id: &UserId) -> Result<(), StorageError> {
        sqlx::query!(
            "WITH s AS (DELETE FROM key_signatures WHERE signer_id = $1 OR target_user_id = $1)
             DELETE FROM cross_signing_keys WHERE user_id = $1",
            user_id.as_str()
        )
        .execute(&mut *self.tx.inner)
        .await?;
        Ok(())
    }

    /// Tell those who share a room with a user, and the user, that they look different to them now.
    pub fn publish_keys(&mut self, user_id: &UserId) {
        self.tx.publish(Change::DeviceList { user_id: user_id.to_owned() });
    }

    /// Tell a user's own devices that other users look different to them now.
    pub fn publish_signed(&mut self, user_id: &UserId, signed: &[OwnedUserId]) {
        let signed: Arc<[OwnedUserId]> = signed.into();
        self.tx.publish(Change::Signatures { user_id: user_id.to_owned(), signed });
    }
}
