//! Queries over `to_device`. Rows are added by the [`crate::Writer`].

use myelin_model::StreamPos;
use ruma::{DeviceId, OwnedUserId, UserId};
use sqlx::PgPool;

use crate::{Db, StorageError};

/// A row of `to_device`.
#[derive(Debug)]
pub struct ToDeviceMessage {
    pub pos: StreamPos,
    /// The message as its client sees it, as JSON.
    pub message: String,
}

/// Messages for devices.
#[derive(Debug, Clone, Copy)]
pub struct ToDevice<'db> {
    db: &'db Db,
}

impl Db {
    /// Messages for devices.
    pub fn to_device(&self) -> ToDevice<'_> {
        ToDevice { db: self }
    }
}

impl ToDevice<'_> {
    /// The oldest messages for a device that stand after `received` and not after `upto`, at most `count_max`. The device has
    /// got everything up to `received`, so that is deleted. It does no harm when that is lost: the device comes back with the same
    /// position or a later one.
    #[tracing::instrument(name = "db.to_device.take", skip_all, fields(user.id = %user_id))]
    pub async fn take(
        &self,
        user_id: &UserId,
        device_id: &DeviceId,
        received: StreamPos,
        upto: StreamPos,
        count_max: i64,
    ) -> Result<Vec<ToDeviceMessage>, StorageError> {
        let rows = sqlx::query!(
            "WITH received AS (DELETE FROM to_device WHERE user_id = $1 AND device_id = $2 AND pos <= $3)
             SELECT pos, message FROM to_device
             WHERE user_id = $1 AND device_id = $2 AND pos > $3 AND pos <= $4 ORDER BY pos LIMIT $5",
            user_id.as_str(),
            device_id.as_str(),
            received.0,
            upto.0,
            count_max
        )
        .fetch_all(self.db.pool())
        .await?;
        let messages = rows.into_iter();
        let messages =
            messages.map(|row| ToDeviceMessage { pos: StreamPos(row.pos), message: row.message });
        Ok(messages.collect())
    }

    /// The devices of users. Users without any are not in it.
    #[tracing::instrument(name = "db.to_device.list_devices", skip_all)]
    pub async fn list_devices(
        &self,
        user_ids: &[OwnedUserId],
    ) -> Result<Vec<(OwnedUserId, String)>, StorageError> {
        let user_ids: Vec<String> = user_ids.iter().map(ToString::to_string).collect();
        let rows = sqlx::query!(
            r#"SELECT d.user_id AS "user_id!", d.device_id AS "device_id!"
             FROM unnest($1::text[]) AS u (user_id)
             CROSS JOIN LATERAL (SELECT user_id, device_id FROM devices WHERE user_id = u.user_id OFFSET 0) AS d"#,
            &user_ids
        )
        .fetch_all(self.db.pool())
        .await?;
        rows.into_iter()
            .map(|row| {
                let user_id = OwnedUserId::try_from(row.user_id);
                Ok((user_id.map_err(StorageError::inconsistent("devices.user_id"))?, row.device_id))
            })
            .collect()
    }
}

/// Delete the oldest messages of devices that have more than `count_max`, at most `rows_max` of each: the number deleted. It goes from
/// device to device, so that it reads the places of the messages only, and of one device not many more than it may have.
pub(crate) async fn delete_beyond(
    pool: &PgPool,
    count_max: i64,
    rows_max: i64,
) -> Result<u64, StorageError> {
    let done = sqlx::query!(
        "WITH RECURSIVE inboxes AS (
             (SELECT user_id, device_id FROM to_device ORDER BY user_id, device_id LIMIT 1)
             UNION ALL
             SELECT next.user_id, next.device_id FROM inboxes CROSS JOIN LATERAL (
                 SELECT user_id, device_id FROM to_device
                 WHERE (user_id, device_id) > (inboxes.user_id, inboxes.device_id)
                 ORDER BY user_id, device_id LIMIT 1) AS next
         ), surplus AS (
             SELECT old.user_id, old.device_id, old.pos FROM inboxes
             CROSS JOIN LATERAL (
                 SELECT pos FROM to_device WHERE user_id = inboxes.user_id AND device_id = inboxes.device_id
                 ORDER BY pos DESC OFFSET $1 LIMIT 1) AS first_too_many
             CROSS JOIN LATERAL (
                 SELECT user_id, device_id, pos FROM to_device
                 WHERE user_id = inboxes.user_id AND device_id = inboxes.device_id AND pos <= first_too_many.pos
                 ORDER BY pos LIMIT $2) AS old
             LIMIT $2
         )
         DELETE FROM to_device USING surplus
         WHERE to_device.user_id = surplus.user_id AND to_device.device_id = surplus.device_id AND to_device.pos = surplus.pos",
        count_max,
        rows_max
    );
    Ok(done.execute(pool).await?.rows_affected())
}
