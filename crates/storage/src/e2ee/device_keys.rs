//! Queries over `device_keys`.

use ruma::{DeviceId, UserId};

use crate::{Change, StorageError, Tx};

impl Tx {
    /// Keys of devices.
    pub fn device_keys(&mut self) -> DeviceKeysTx<'_> {
        DeviceKeysTx { tx: self }
    }
}

/// A device that nobody else changes the keys of.
#[derive(Debug)]
pub struct LockedDevice {
    /// The device's identity keys, as canonical JSON. `None`: it has none yet.
    pub keys: Option<String>,
}

/// Writes of devices' keys. What is read and written between [`DeviceKeysTx::lock`] and the end of the transaction belongs together.
#[derive(Debug)]
pub struct DeviceKeysTx<'tx> {
    tx: &'tx mut Tx,
}

impl DeviceKeysTx<'_> {
    /// Let nobody else upload keys of a device, nor delete it, until the transaction ends. `None`: there is no such device.
    #[tracing::instrument(name = "db.device_keys.lock", skip_all, fields(user.id = %user_id))]
    pub async fn lock(
        &mut self,
        user_id: &UserId,
        device_id: &DeviceId,
    ) -> Result<Option<LockedDevice>, StorageError> {
        let device = sqlx::query_as!(
            LockedDevice,
            r#"SELECT k.keys AS "keys?" FROM devices d
               LEFT JOIN device_keys k ON k.user_id = d.user_id AND k.device_id = d.device_id
               WHERE d.user_id = $1 AND d.device_id = $2 FOR NO KEY UPDATE OF d"#,
            user_id.as_str(),
            device_id.as_str()
        )
        .fetch_optional(&mut *self.tx.inner)
        .await?;
        Ok(device)
    }

    /// Set the identity keys of a device, as canonical JSON, and tell of it. `are_others`: they are not only signed anew, so what
    /// signed the last ones goes.
    #[tracing::instrument(name = "db.device_keys.set", skip_all, fields(user.id = %user_id))]
    pub async fn set(
        &mut self,
        user_id: &UserId,
        device_id: &DeviceId,
        keys: &str,
        are_others: bool,
    ) -> Result<(), StorageError> {
        sqlx::query!(
            "WITH s AS (DELETE FROM key_signatures WHERE $4 AND target_user_id = $1 AND target_id = $2)
             INSERT INTO device_keys (user_id, device_id, keys) VALUES ($1, $2, $3)
             ON CONFLICT (user_id, device_id) DO UPDATE SET keys = excluded.keys",
            user_id.as_str(),
            device_id.as_str(),
            keys,
            are_others
        )
        .execute(&mut *self.tx.inner)
        .await?;
        self.tx.publish(Change::DeviceList { user_id: user_id.to_owned() });
        Ok(())
    }

    /// Delete all keys of devices of a user, and the signatures by them and of them. The devices are locked from then on, and are to be
    /// deleted: those of `only`, or all, but `except`.
    #[tracing::instrument(name = "db.device_keys.delete", skip_all, fields(user.id = %user_id))]
    pub(crate) async fn delete(
        &mut self,
        user_id: &UserId,
        only: Option<&[String]>,
        except: Option<&DeviceId>,
    ) -> Result<(), StorageError> {
        // In a statement of its own: the next one sees what was uploaded before the lock was taken.
        let ids = sqlx::query_scalar!(
            "SELECT device_id FROM devices
             WHERE user_id = $1 AND ($2::text[] IS NULL OR device_id = ANY ($2)) AND device_id IS DISTINCT FROM $3
             ORDER BY device_id FOR UPDATE",
            user_id.as_str(),
            only,
            except.map(DeviceId::as_str)
        )
        .fetch_all(&mut *self.tx.inner)
        .await?;
        let key_ids: Vec<String> = ids.iter().map(|id| format!("ed25519:{id}")).collect();
        sqlx::query!(
            "WITH o AS (DELETE FROM one_time_keys WHERE user_id = $1 AND device_id = ANY ($2)),
                  f AS (DELETE FROM fallback_keys WHERE user_id = $1 AND device_id = ANY ($2)),
                  s AS (DELETE FROM key_signatures WHERE target_user_id = $1 AND target_id = ANY ($2)
                        OR signer_id = $1 AND key_id = ANY ($3))
             DELETE FROM device_keys WHERE user_id = $1 AND device_id = ANY ($2)",
            user_id.as_str(),
            &ids,
            &key_ids
        )
        .execute(&mut *self.tx.inner)
        .await?;
        Ok(())
    }
}
