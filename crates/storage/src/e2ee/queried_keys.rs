//! The keys of users as others see them.

use ruma::{OwnedDeviceId, OwnedUserId, UserId};

use super::KeyUsage;
use crate::{Db, StorageError};

/// The keys of some users. JSON stands as it was uploaded.
#[derive(Debug, Default)]
pub struct QueriedKeys {
    pub devices: Vec<QueriedDevice>,
    pub cross_signing: Vec<CrossSigningKey>,
    /// The signatures of these keys that came later: those of each user for the user's own keys, and those of who asks.
    pub signatures: Vec<KeySignature>,
}

/// The identity keys of a device.
#[derive(Debug)]
pub struct QueriedDevice {
    pub user_id: OwnedUserId,
    pub device_id: OwnedDeviceId,
    /// The name that the user gave the device.
    pub display_name: Option<String>,
    pub keys: String,
}

/// A key by which a user signs keys.
#[derive(Debug)]
pub struct CrossSigningKey {
    pub user_id: OwnedUserId,
    pub usage: KeyUsage,
    pub key: String,
}

/// A signature of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySignature {
    /// The user whose key is signed.
    pub target_user_id: OwnedUserId,
    /// The device whose keys are signed, or the public half of the cross-signing key that is.
    pub target_id: String,
    /// The user who signed.
    pub signer_id: OwnedUserId,
    /// The ID of the signing key, with its algorithm.
    pub key_id: String,
    /// The signature, in base64.
    pub signature: String,
}

struct QueriedRow {
    part: String,
    user_id: String,
    name: String,
    content: String,
    display_name: Option<String>,
    signer_id: Option<String>,
    key_id: Option<String>,
}

impl Db {
    /// The keys of users, as `reader` sees them. Users without keys are passed over.
    #[tracing::instrument(name = "db.queried_keys.list", skip_all, fields(user.id = %reader))]
    pub async fn query_keys(
        &self,
        user_ids: &[OwnedUserId],
        reader: &UserId,
    ) -> Result<QueriedKeys, StorageError> {
        let user_ids: Vec<String> = user_ids.iter().map(ToString::to_string).collect();
        let rows = sqlx::query_as!(
            QueriedRow,
            r#"
            WITH wanted AS MATERIALIZED (SELECT DISTINCT user_id FROM unnest($1::text[]) AS w (user_id))
            SELECT 'device' AS "part!", d.user_id AS "user_id!", d.device_id AS "name!", d.keys AS "content!",
                d.display_name AS "display_name?", NULL AS "signer_id?", NULL AS "key_id?"
            FROM wanted w CROSS JOIN LATERAL (
                SELECT k.user_id, k.device_id, k.keys, d.display_name FROM device_keys k
                LEFT JOIN devices d ON d.user_id = k.user_id AND d.device_id = k.device_id
                WHERE k.user_id = w.user_id
                OFFSET 0 -- a look for each user
            ) AS d
            UNION ALL
            SELECT 'cross_signing', c.user_id, c.usage, c.key, NULL, NULL, NULL
            FROM wanted w CROSS JOIN LATERAL (
                SELECT user_id, usage, key FROM cross_signing_keys c WHERE c.user_id = w.user_id OFFSET 0
            ) AS c
            UNION ALL
            SELECT 'signature', s.target_user_id, s.target_id, s.signature, NULL, s.signer_id, s.key_id
            FROM wanted w CROSS JOIN LATERAL (
                SELECT target_user_id, target_id, signer_id, key_id, signature FROM key_signatures s
                WHERE s.target_user_id = w.user_id AND (s.signer_id = w.user_id OR s.signer_id = $2)
                OFFSET 0
            ) AS s
            "#,
            &user_ids,
            reader.as_str()
        )
        .fetch_all(self.pool())
        .await?;
        let mut keys = QueriedKeys::default();
        for row in rows {
            // One that cannot be read is inert by itself.
            self.pool().readable(keys.add(row));
        }
        Ok(keys)
    }
}

impl QueriedKeys {
    fn add(&mut self, row: QueriedRow) -> Result<(), StorageError> {
        let user = |user_id: String| {
            OwnedUserId::try_from(user_id).map_err(StorageError::inconsistent("keys.user_id"))
        };
        let user_id = user(row.user_id)?;
        match (&*row.part, row.signer_id, row.key_id) {
            ("signature", Some(signer_id), Some(key_id)) => self.signatures.push(KeySignature {
                target_user_id: user_id,
                target_id: row.name,
                signer_id: user(signer_id)?,
                key_id,
                signature: row.content,
            }),
            ("cross_signing", ..) => {
                let usage = KeyUsage::parse(&row.name).ok_or_else(|| {
                    StorageError::inconsistent("cross_signing_keys.usage")("unknown")
                })?;
                self.cross_signing.push(CrossSigningKey { user_id, usage, key: row.content });
            }
            _ => self.devices.push(QueriedDevice {
                user_id,
                device_id: row.name.into(),
                display_name: row.display_name,
                keys: row.content,
            }),
        }
        Ok(())
    }
}
