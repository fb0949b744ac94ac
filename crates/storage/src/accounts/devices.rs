//! Queries over `devices`.

use ruma::{DeviceId, OwnedDeviceId, UserId};

use super::{Call, from_sql_ts, to_sql_ts};
use crate::{Change, Db, StorageError, Tx};

/// A row of `devices`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// The device's ID, which is unique among its user's.
    pub device_id: OwnedDeviceId,
    /// The name that the user gave it. `None`: it has none.
    pub display_name: Option<String>,
    /// The time of its last call, in milliseconds since the epoch. `None`: it never called.
    pub last_seen_ts: Option<u64>,
    /// The address from which it called last. `None`: it never called, or over a unix socket.
    pub last_seen_ip: Option<String>,
}

struct DeviceRow {
    device_id: String,
    display_name: Option<String>,
    last_seen_ts: Option<i64>,
    last_seen_ip: Option<String>,
}

impl From<DeviceRow> for Device {
    fn from(row: DeviceRow) -> Self {
        Self {
            device_id: row.device_id.into(),
            display_name: row.display_name,
            last_seen_ts: row.last_seen_ts.map(from_sql_ts),
            last_seen_ip: row.last_seen_ip,
        }
    }
}

impl Device {
    /// The device with calls that are not in the database yet.
    fn seen(mut self, calls: &[Call]) -> Self {
        let own = calls.iter().filter(|call| call.device_id.as_ref() == Some(&self.device_id));
        if let Some(last) = own.max_by_key(|call| call.last_seen_ts)
            && self.last_seen_ts.is_none_or(|ts| ts < last.last_seen_ts)
        {
            self.last_seen_ts = Some(last.last_seen_ts);
            self.last_seen_ip = Some(last.address.to_string());
        }
        self
    }
}

/// Reads of devices.
#[derive(Debug, Clone, Copy)]
pub struct Devices<'db> {
    db: &'db Db,
}

impl Db {
    /// Devices.
    pub fn devices(&self) -> Devices<'_> {
        Devices { db: self }
    }
}

impl Devices<'_> {
    /// The devices of a user, oldest first.
    #[tracing::instrument(name = "db.devices.list", skip_all, fields(user.id = %user_id))]
    pub async fn list(&self, user_id: &UserId) -> Result<Vec<Device>, StorageError> {
        let calls = self.db.user_ips().list_unwritten(user_id);
        let rows = sqlx::query_as!(
            DeviceRow,
            "SELECT device_id, display_name, last_seen_ts, last_seen_ip FROM devices
             WHERE user_id = $1 ORDER BY created_ts, device_id",
            user_id.as_str()
        )
        .fetch_all(self.db.pool())
        .await?;
        Ok(rows.into_iter().map(|row| Device::from(row).seen(&calls)).collect())
    }

    /// Find a device.
    #[tracing::instrument(name = "db.devices.find", skip_all, fields(user.id = %user_id))]
    pub async fn find(
        &self,
        user_id: &UserId,
        device_id: &DeviceId,
    ) -> Result<Option<Device>, StorageError> {
        let calls = self.db.user_ips().list_unwritten(user_id);
        let row = sqlx::query_as!(
            DeviceRow,
            "SELECT device_id, display_name, last_seen_ts, last_seen_ip FROM devices
             WHERE user_id = $1 AND device_id = $2",
            user_id.as_str(),
            device_id.as_str()
        )
        .fetch_optional(self.db.pool())
        .await?;
        Ok(row.map(|row| Device::from(row).seen(&calls)))
    }
}

impl Tx {
    /// Devices.
    pub fn devices(&mut self) -> DevicesTx<'_> {
        DevicesTx { tx: self }
    }
}

/// Writes of devices. Follow each by [`DevicesTx::publish`].
#[derive(Debug)]
pub struct DevicesTx<'tx> {
    tx: &'tx mut Tx,
}

impl DevicesTx<'_> {
    /// Announce that a user's devices or their names changed.
    pub fn publish(&mut self, user_id: &UserId) {
        self.tx.publish(Change::DeviceList { user_id: user_id.to_owned() });
    }

    /// Add a device, or keep the one that is there, name included. Whether it is new.
    #[tracing::instrument(name = "db.devices.add", skip_all, fields(user.id = %user_id))]
    pub async fn add(
        &mut self,
        user_id: &UserId,
        device_id: &DeviceId,
        display_name: Option<&str>,
        created_ts: u64,
    ) -> Result<bool, StorageError> {
        let done = sqlx::query!(
            "INSERT INTO devices (user_id, device_id, display_name, created_ts) VALUES ($1, $2, $3, $4)
             ON CONFLICT DO NOTHING",
            user_id.as_str(),
            device_id.as_str(),
            display_name,
            to_sql_ts(created_ts)
        )
        .execute(&mut *self.tx.inner)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Name a device. False if there is none.
    #[tracing::instrument(name = "db.devices.set_name", skip_all, fields(user.id = %user_id))]
    pub async fn set_name(
        &mut self,
        user_id: &UserId,
        device_id: &DeviceId,
        display_name: &str,
    ) -> Result<bool, StorageError> {
        let done = sqlx::query!(
            "UPDATE devices SET display_name = $3 WHERE user_id = $1 AND device_id = $2",
            user_id.as_str(),
            device_id.as_str(),
            display_name
        )
        .execute(&mut *self.tx.inner)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Delete devices with their tokens, pushers, keys, messages and transactions. Those that do not exist are passed over.
    #[tracing::instrument(name = "db.devices.delete", skip_all, fields(user.id = %user_id))]
    pub async fn delete(
        &mut self,
        user_id: &UserId,
        device_ids: &[OwnedDeviceId],
    ) -> Result<(), StorageError> {
        let ids: Vec<String> = device_ids.iter().map(ToString::to_string).collect();
        // Before the lock of the log, for which those who change keys wait.
        self.tx.device_keys().delete(user_id, Some(&ids), None).await?;
        // Messages are stored for devices that are there, under this lock.
        self.tx.lock_log().await?;
        sqlx::query!(
            "WITH a AS (DELETE FROM access_tokens WHERE user_id = $1 AND device_id = ANY($2)),
                  r AS (DELETE FROM refresh_tokens WHERE user_id = $1 AND device_id = ANY($2)),
                  p AS (DELETE FROM pushers WHERE user_id = $1 AND device_id = ANY($2)),
                  m AS (DELETE FROM to_device WHERE user_id = $1 AND device_id = ANY($2)),
                  t AS (DELETE FROM transactions WHERE user_id = $1 AND device_id = ANY($2))
             DELETE FROM devices WHERE user_id = $1 AND device_id = ANY($2)",
            user_id.as_str(),
            &ids
        )
        .execute(&mut *self.tx.inner)
        .await?;
        Ok(())
    }

    /// Delete all devices, tokens, pushers, keys of devices, messages and transactions of a user, but those of `except`. The devices deleted.
    #[tracing::instrument(name = "db.devices.delete_all", skip_all, fields(user.id = %user_id))]
    pub async fn delete_all(
        &mut self,
        user_id: &UserId,
        except: Option<&DeviceId>,
    ) -> Result<Vec<OwnedDeviceId>, StorageError> {
        self.tx.device_keys().delete(user_id, None, except).await?;
        self.tx.lock_log().await?;
        let deleted = sqlx::query_scalar!(
            "WITH a AS (DELETE FROM access_tokens WHERE user_id = $1 AND device_id IS DISTINCT FROM $2),
                  r AS (DELETE FROM refresh_tokens WHERE user_id = $1 AND device_id IS DISTINCT FROM $2),
                  p AS (DELETE FROM pushers WHERE user_id = $1 AND device_id IS DISTINCT FROM $2),
                  m AS (DELETE FROM to_device WHERE user_id = $1 AND device_id IS DISTINCT FROM $2),
                  t AS (DELETE FROM transactions WHERE user_id = $1 AND device_id IS DISTINCT FROM $2)
             DELETE FROM devices WHERE user_id = $1 AND device_id IS DISTINCT FROM $2 RETURNING device_id",
            user_id.as_str(),
            except.map(DeviceId::as_str)
        )
        .fetch_all(&mut *self.tx.inner)
        .await?;
        Ok(deleted.into_iter().map(Into::into).collect())
    }
}
